import { startProcess } from "../../src/sys/scheduling.ts";
import type { FromStarter, ToStarter } from "./starter.ts";

declare const self: {
  onmessage: (message: { data: ToStarter }) => void;
  postMessage(message: FromStarter): void;
};

const children = new Map<number, Bun.Subprocess>();

self.onmessage = ({ data }) => {
  if ("end" in data) {
    children.get(data.end)?.kill("SIGKILL");
    children.delete(data.end);
    return;
  }
  const child = startProcess(() => Bun.spawn({ cmd: data.start, stdio: ["ignore", "ignore", "ignore"] }));
  children.set(child.pid, child);
  // Spawning returns when the child has executed its program: the kernel reports the exec at the same moment.
  self.postMessage({ pid: child.pid, execMs: performance.timeOrigin + performance.now() });
};
