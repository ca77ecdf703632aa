import { existsSync, openSync, readFileSync } from "node:fs";
import { type Sandbox, type SpawnOptions, until } from "./sandbox.ts";

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
