import { afterEach, expect } from "bun:test";
import { rmSync } from "node:fs";
import { FFRTMP, useSandbox } from "../support/sandbox.ts";
import { pidfdsKeepRecords, vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

vmTest("run of an unprivileged user is limited in a scope of the user's own manager", async () => {
  const script = `${FFRTMP} run --job-id mine --memory-max 100M --pids-max 20 --json -- cat /proc/self/cgroup`;
  const { stdout, stderr } = asUser(script);
  expect(stdout).toMatch(/user@1000\.service\/app\.slice\/ffrtmp-[0-9a-f]{6}-mine\.scope\/ffrtmp-/);
  const { limits } = JSON.parse(stderr);
  expect(limits.map(({ outcome }: { outcome: string }) => outcome)).toEqual(["applied", "applied"]);
});

vmTest("run of an unprivileged user without a manager has no limits, and prints one warning", async () => {
  const script = `XDG_RUNTIME_DIR=/nowhere ${FFRTMP} run --job-id mine --memory-max 100M -- true`;
  const { code, stderr } = asUser(script, false);
  expect(code).toBe(0);
  expect(stderr).toContain("runs without memory.max");
});

vmTest(
  "attach of an unprivileged user records the exit code, and reports which limits it cannot apply",
  async () => {
    const script = `sh -c 'sleep 3; exit 7' & ${FFRTMP} attach --pid $! --job-id seen --memory-max 100M`;
    const { code, stderr } = asUser(script, false);
    expect(code).toBe(0);
    expect(stderr).toContain("runs without memory.max");
    // Without the exit record of a pidfd the parent may collect the exit code first.
    expect(stderr).toMatch(pidfdsKeepRecords ? /exit=7/ : /exit=(7|unknown)/);
  },
);

function asUser(script: string, withManager = true): { code: number; stdout: string; stderr: string } {
  Bun.spawnSync(["chmod", "755", sandbox().directory]);
  const state = `/tmp/ffrtmp-user-${process.pid}-${Math.random().toString(36).slice(2)}`;
  clean.push(() => rmSync(state, { recursive: true, force: true }));
  const options = withManager ? ["-p", "PAMName=login"] : [];
  const words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", ...options, "--uid=ffuser"];
  if (withManager) Bun.spawnSync(["loginctl", "enable-linger", "ffuser"]);
  clean.push(() => {
    Bun.spawnSync(["loginctl", "disable-linger", "ffuser"]);
    // By itself the manager would end some seconds later, during the next test.
    Bun.spawnSync(["systemctl", "stop", "user-1000.slice"]);
  });
  const child = Bun.spawnSync([...words, `--setenv=FFRTMP_STATE=${state}`, "sh", "-c", script]);
  return { code: child.exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}
