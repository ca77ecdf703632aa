import { existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FFRTMP, type Sandbox, type SpawnOptions, until } from "./sandbox.ts";

export interface WatchDaemon {
  process: Bun.Subprocess;
  /** What it has written to stderr. */
  log(): string;
}

let count = 0;

/** Starts `ffrtmp watch` for commands that no process has, and returns when it answers requests. */
export async function startDaemon(
  box: Sandbox,
  flags: string[] = ["--target", `none-${box.tag}`],
  options: SpawnOptions = {},
): Promise<WatchDaemon> {
  const path = box.path(`watch-${++count}.log`);
  const process = box.start(["watch", ...flags], {
    stdout: "ignore",
    stderr: openSync(path, "w"),
    ...options,
  });
  const log = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  await until("the daemon answers", async () => {
    if (process.exitCode !== null || process.signalCode !== null) throw new Error(log());
    const { stdout } = await box.run(["ps", "--daemon", "--json"]);
    const status = stdout === "" ? null : JSON.parse(stdout);
    return status?.pid === process.pid && status.answers === true;
  });
  return { process, log };
}

const UNIT = join(import.meta.dir, "../../packaging/systemd/ffrtmp-watch.service");

/** Starts `watch` with the capabilities of the packaged service, and others that a drop-in adds. */
export async function startAsService(box: Sandbox, flags: string[], added: readonly string[] = []) {
  const [, unit = ""] = /^CapabilityBoundingSet=(.*)$/m.exec(readFileSync(UNIT, "utf8")) ?? [];
  const names = [...unit.split(" "), ...added].map((name) => `+${name.slice("CAP_".length).toLowerCase()}`);
  const limited = ["setpriv", "--bounding-set", ["-all", ...names].join(","), "--inh-caps", "-all"];
  const path = box.path(`service-${++count}.log`);
  const process = box.spawn([...limited, FFRTMP, "watch", ...flags], {
    stdout: "ignore",
    stderr: openSync(path, "w"),
  });
  const log = () => readFileSync(path, "utf8");
  await until("the daemon watches", () => log().includes("; events: "));
  await until("the daemon has written its state", async () => {
    const { stdout } = await box.run(["ps", "--daemon", "--json"]);
    return stdout !== "" && JSON.parse(stdout)?.pid === process.pid;
  });
  return { process, pid: process.pid, log };
}
