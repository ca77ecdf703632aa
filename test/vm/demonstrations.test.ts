import { expect } from "bun:test";
import { resolve } from "node:path";
import { FFRTMP } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const SCRIPT = resolve(import.meta.dir, "../../scripts/test_non_owning_governance.sh");
/** An emulated processor encodes about ten times more slowly. */
const ENVIRONMENT = { FFRTMP_EXECUTABLE: FFRTMP, FFRTMP_DEMO_SECONDS: "4" };

vmTest("the demonstration script passes in a session", async () => {
  expectAllTrue(await outputOf([SCRIPT], ENVIRONMENT));
});

vmTest(
  "the demonstration script passes in a service, while systemd reloads and restarts other services",
  async () => {
    const settings = Object.entries(ENVIRONMENT).map(([name, value]) => `--setenv=${name}=${value}`);
    const unit = `ffrtmp-test-demonstrations-${process.pid}`;
    const demonstrations = outputOf([
      "systemd-run",
      "--quiet",
      "--pipe",
      "--unit",
      unit,
      ...settings,
      SCRIPT,
    ]);
    let isOver = false;
    void demonstrations.finally(() => {
      isOver = true;
    });
    let rounds = 0;
    while (!isOver) {
      for (const words of [
        ["daemon-reload"],
        ["restart", "cron.service"],
        ["restart", "systemd-logind.service"],
        ["daemon-reexec"],
      ])
        await outputOf(["systemctl", ...words]);
      rounds++;
      await Bun.sleep(3000);
    }
    expectAllTrue(await demonstrations);
    console.log(`systemd reloaded, restarted cron and logind, and re-executed itself: ${rounds} times`);
  },
);

function expectAllTrue(output: string): void {
  const failed = output.split("\n").filter((line) => line.includes("FAILED"));
  expect(failed).toEqual([]);
  expect(output).toMatch(/^27 checks, 0 failed$/m);
}

/** Returns the output of a command. Throws with the output when the command fails. */
async function outputOf(command: string[], environment: Record<string, string> = {}): Promise<string> {
  const child = Bun.spawn(command, {
    env: { ...process.env, ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, complaints] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0)
    throw new Error(`${command.join(" ")} exited with ${child.exitCode}:\n${output}\n${complaints}`);
  return output;
}
