import { startProcess } from "../../src/sys/scheduling.ts";
import type { AllEnded, FromStarter, ToStarter } from "./starter.ts";

declare const self: {
  onmessage: (message: { data: ToStarter }) => void;
  postMessage(message: FromStarter | AllEnded): void;
};

const children = new Map<number, Bun.Subprocess>();

self.onmessage = async ({ data }) => {
  if (data === "end all") {
    for (const child of children.values()) child.kill("SIGKILL");
    await Promise.all([...children.values()].map(({ exited }) => exited));
    self.postMessage("all ended");
    return;
  }
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
