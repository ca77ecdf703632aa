import { expect, test } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { isRunning, type Sandbox, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const MAIN = resolve(import.meta.dir, "../../src/main.ts");
const PRELOAD = resolve(import.meta.dir, "../support/programs/throwInCallback.ts");

/** Starts ffrtmp from its sources, with a callback that throws when `strike` is called. */
function startFaulty(sandbox: Sandbox, kind: string, args: string[]) {
  const trigger = sandbox.path("strike");
  const ffrtmp = sandbox.spawn([process.execPath, "--preload", PRELOAD, MAIN, ...args], {
    stdout: "ignore",
    // Not a pipe, because the workload would keep it open.
    stderr: openSync(sandbox.path("stderr"), "w"),
    env: { FAULT_WHEN: trigger, FAULT_IS: kind },
  });
  return {
    ffrtmp,
    stderr: () => readFileSync(sandbox.path("stderr"), "utf8"),
    strike: () => writeFileSync(trigger, ""),
  };
}

for (const kind of ["exception", "unhandled rejection"]) {
  test(`run exits with 125 after an ${kind} in a callback, and the workload keeps running`, async () => {
    const { ffrtmp, stderr, strike } = startFaulty(sandbox(), kind, [
      "run",
      "--job-id",
      "struck",
      "--",
      "sleep",
      "60",
    ]);
    const pid = await sandbox().pidOf("struck");
    sandbox().adopt(pid);
    strike();
    expect(await ffrtmp.exited).toBe(125);
    expect(stderr()).toMatch(/^ffrtmp: internal error: Error: a fault made for a test\n {4}at /);
    expect(stderr()).toEndWith("\n  try: report it with the command line and the output of: ffrtmp doctor\n");
    expect(isRunning(pid)).toBe(true);
    expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "struck", pid, state: "running" }]);
  });

  test(`attach exits with 70 after an ${kind} in a callback, and the workload keeps running`, async () => {
    const workload = sandbox().spawn(["sleep", "60"]);
    const args = ["attach", "--job-id", "struck", "--pid", String(workload.pid)];
    const { ffrtmp, stderr, strike } = startFaulty(sandbox(), kind, args);
    await sandbox().pidOf("struck");
    strike();
    expect(await ffrtmp.exited).toBe(70);
    expect(stderr()).toMatch(/^ffrtmp: internal error: Error: a fault made for a test$/m);
    expect(isRunning(workload.pid)).toBe(true);
  });
}
