import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { listTree } from "../../src/linux/proc/table.ts";
import { eventually, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const CONTROLLERS = ["cpu", "memory", "blkio", "pids"];
const ALL_LIMITS = ["--cpu-quota", "100", "--memory-limit", "500", "--pids-max", "1000"];

limitsTest("a child that the workload's first instruction forks is in every cgroup of the job", async () => {
  // cat is the child. The colon keeps the shell from replacing itself with cat.
  const script = "cat /proc/self/cgroup; :";
  const { stdout } = await sandbox().run([
    ...["run", "--job-id", "first", ...ALL_LIMITS, "--", "sh", "-c", script],
  ]);
  for (const controller of CONTROLLERS) {
    expect(cgroupLine(stdout, controller)).toEndWith(`/ffrtmp-${sandbox().tag}-first`);
  }
});

limitsTest("each cgroup of a job is below its caller's own cgroup", async () => {
  const { stdout } = await sandbox().run([
    "run",
    "--job-id",
    "below",
    "--cpu-quota",
    "100",
    "--",
    "cat",
    "/proc/self/cgroup",
  ]);
  const own = readFileSync("/proc/self/cgroup", "utf8");
  for (const controller of CONTROLLERS) {
    const caller = cgroupLine(own, controller).replace(/\/$/, "");
    expect(cgroupLine(stdout, controller)).toBe(`${caller}/ffrtmp-${sandbox().tag}-below`);
  }
});

limitsTest("the waiting wrapper is not charged to its job", async () => {
  const { wrapper } = await sandbox().startJob("apart", ALL_LIMITS, ["sleep", "1000"]);
  const own = readFileSync("/proc/self/cgroup", "utf8");
  expect(readFileSync(`/proc/${wrapper.pid}/cgroup`, "utf8")).toBe(own);
  expect(readThreads(wrapper.pid)).toEqual(readThreads(wrapper.pid).map(() => own));
});

limitsTest(
  "children that are forked while attach moves the process end up in the job's cgroups",
  async () => {
    const children = 300;
    const forker = `for (1..${children}) { unless (fork) { sleep 1000; exit } select undef, undef, undef, 0.0005 } sleep 1000`;
    for (const forkedBefore of [1, 60, 120, 180, 240]) {
      const { pid } = sandbox().spawn(["perl", "-e", forker]);
      await until("some children are forked", () => listTree(realHost(), pid).length > forkedBefore);
      const jobId = `forking-${forkedBefore}`;
      sandbox().start(["attach", "--pid", String(pid), "--job-id", jobId, ...ALL_LIMITS], {
        stderr: "ignore",
      });
      await until(`${jobId} is attached`, async () => {
        const { code, stdout } = await sandbox().run(["inspect", jobId, "--json"]);
        return code === 0 && JSON.parse(stdout).state === "running";
      });
      const tree = await eventually("all children have been forked", () => {
        const pids = listTree(realHost(), pid);
        for (const child of pids) sandbox().adopt(child);
        return pids.length > children ? pids : undefined;
      });
      const outside = tree.filter((child) => {
        const membership = readMembership(realHost(), child);
        return (
          membership === "gone" || !(membership.get("pids") ?? membership.get(""))?.endsWith(`-${jobId}`)
        );
      });
      expect(outside).toEqual([]);
      for (const child of tree) process.kill(child, "SIGKILL");
    }
  },
);

// 5:cpu,cpuacct:/user.slice
function cgroupLine(text: string, controller: string): string {
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(.*)$/.exec(line);
    if (match?.[1]?.split(",").includes(controller)) return match[2] as string;
  }
  return "";
}

function readThreads(pid: number): string[] {
  return [...new Bun.Glob("*").scanSync({ cwd: `/proc/${pid}/task`, onlyFiles: false })].map((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/cgroup`, "utf8"),
  );
}
