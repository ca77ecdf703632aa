import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { hasOnlyCompanions } from "../../src/linux/cgroup/companion.ts";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const unified = readHierarchies(realHost()).find(hasOnlyCompanions);
const hybridTest = testIf(
  lacksLimits() ??
    (unified ? undefined : "needs a v2 hierarchy without controllers beside those of cgroup v1"),
);

function v2PathOf(pid: number | "self"): string {
  return /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8"))?.[1] ?? "";
}

hybridTest("a workload begins in its companion, whose pressure is in the result", async () => {
  // Two processes for a part of one CPU: one of them always waits.
  const busy = "timeout 2 sh -c 'while :; do :; done'";
  const script = `cat /proc/self/cgroup; ${busy} & ${busy}; wait`;
  const { stdout } = await sandbox().run([
    ...["run", "--job-id", "waits", "--cpu-quota", "50", "--", "sh", "-c", script],
  ]);
  const own = v2PathOf("self").replace(/\/$/, "");
  expect(stdout).toContain(`0::${own}/ffrtmp-${sandbox().tag}-waits\n`);
  const { usage } = (await sandbox().json(["inspect", "waits"])) as { usage: Record<string, number> };
  expect(usage["cpu_pressure_seconds"]).toBeGreaterThan(0.1);
  expect(usage["memory_pressure_seconds"]).toBeNumber();
  expect(usage["io_pressure_seconds"]).toBeNumber();
  expect(existsSync(`${unified?.mountPoint}${own}/ffrtmp-${sandbox().tag}-waits`)).toBe(false);
});

hybridTest("the whole tree of an attached process is in the companion, and returns with detach", async () => {
  const before = v2PathOf("self");
  const shell = sandbox().spawn(["sh", "-c", "sleep 1000 & sleep 1000; wait"]);
  const children = (): number[] => {
    const text = readFileSync(`/proc/${shell.pid}/task/${shell.pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  };
  await until("the shell has two children", () => children().length === 2);
  const pids = [shell.pid, ...children()];
  for (const pid of pids) sandbox().adopt(pid);
  const observer = sandbox().start(["attach", "--pid", String(shell.pid), "--job-id", "tree"]);
  await sandbox().pidOf("tree");
  for (const pid of pids) expect(v2PathOf(pid)).toEndWith(`/ffrtmp-${sandbox().tag}-tree`);
  observer.kill("SIGTERM");
  await observer.exited;
  expect((await sandbox().run(["detach", "tree"])).code).toBe(0);
  for (const pid of pids) expect(v2PathOf(pid)).toBe(before);
  expect(sandbox().cgroups()).toEqual([]);
});
