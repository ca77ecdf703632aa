import { describe, expect, it } from "bun:test";
import { fakeHybrid, fakeV2 } from "../../../test/support/fakeCgroups.ts";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { shareGroup } from "../../../test/support/shareGroups.ts";
import type { Change } from "../../linux/change.ts";
import { plannedShareOf, readPlannedShares } from "./plannedShares.ts";

const { openHybridOwner } = useGovernedFakes();

const ROOT = "/sys/fs/cgroup";
const loop = { weight: 100, demandCores: 1 };
const others = (count: number) => Array.from({ length: count }, () => loop);
/** The process, of which two threads ran, as much as one that always runs. */
const process = { name: "(pid 7)", weight: 100, demandCores: 1, ran: 2 };

const v1 = fakeHybrid();
const cpu = v1.hierarchies.find(({ controllers }) => controllers.includes("cpu"));
if (cpu === undefined) throw new Error("there is a cpu hierarchy");
const mount = cpu.mountPoint;
const created = (path: string): Change => ({ kind: "cgroup-created", hierarchy: "cpu", path, role: "job" });
const written = (path: string, after: string): Change => ({
  kind: "file-written",
  hierarchy: "cpu",
  path,
  before: null,
  after,
});

/** What the process would be sure of on 2 cores, among 9 threads that always run. */
function sureOf(changes: Change[], cgroups = [`${mount}/job`]) {
  const root = shareGroup(mount, { threads: [...others(9), process] });
  const machine = { fs: v1.fs, hierarchy: cpu as NonNullable<typeof cpu>, cores: 2 };
  const share = plannedShareOf(root, { pid: 7, cgroups, changes }, machine);
  return "cores" in share ? Number(share.cores.toFixed(3)) : share.unknown;
}

describe("what a process would be sure of as a job", () => {
  it("follows the weight of the cgroup that it would get, and not that of its threads now", () => {
    const job = created(`${mount}/job`);
    expect(sureOf([job])).toBe(0.2);
    expect(sureOf([job, written(`${mount}/job/cpu.shares`, "10240")])).toBe(1.053);
    expect(sureOf([job, written(`${mount}/job/cpu.shares`, "10")])).toBe(0.002);
    expect(
      sureOf([job, written(`${mount}/job/cpu.shares`, "3"), written(`${mount}/job/cpu.idle`, "1")]),
    ).toBe(0.001);
  });

  it("is bounded by the quota, the CPUs and the threads that run", () => {
    const live = [created(`${mount}/job`), written(`${mount}/job/cpu.shares`, "262144")];
    expect(sureOf(live)).toBe(1.932);
    const quota = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((file, index) =>
      written(`${mount}/job/${file}`, index === 0 ? "50000" : "100000"),
    );
    expect(sureOf([...live, ...quota])).toBe(0.5);
    expect(sureOf([...live, written("/sys/fs/cgroup/cpuset/job/cpuset.cpus", "1")])).toBe(1);
  });

  it("counts inside the total of its tenant, which it may make", () => {
    const tenant = `${mount}/tenant`;
    const changes = [created(tenant), created(`${tenant}/job`), written(`${tenant}/job/cpu.shares`, "10240")];
    expect(sureOf(changes, [`${tenant}/job`])).toBe(0.2);
  });

  it("is that of its threads where it would get no cgroup for CPU time", () => {
    expect(sureOf([], ["/sys/fs/cgroup/pids/job"])).toBe(0.2);
  });

  it("is not known for a scope, and for a process that did not run", () => {
    const scope: Change = { kind: "scope-started", manager: "system", unit: "job.scope" };
    expect(sureOf([scope])).toContain("systemd makes the cgroup of its scope");
    const machine = { fs: v1.fs, hierarchy: cpu, cores: 2 };
    expect(plannedShareOf(shareGroup(mount), { pid: 7, cgroups: [], changes: [] }, machine)).toEqual({
      unknown: "its threads did not run meanwhile",
    });
  });

  it("takes the place of the owner's weight in place, and is beside the owner's threads where it is nested on v2", () => {
    const { fs, hierarchies } = fakeV2();
    const [hierarchy] = hierarchies;
    if (hierarchy === undefined) throw new Error("there is a hierarchy");
    const unit = `${ROOT}/unit`;
    fs.write(`${ROOT}/cgroup.subtree_control`, "+cpu");
    fs.mkdir(unit);
    const sure = (threads: number, cgroup: string, changes: Change[]) => {
      const inside = shareGroup(unit, { threads: [...others(threads), process] });
      const root = shareGroup(ROOT, { children: [inside, shareGroup(`${ROOT}/b`, { threads: others(9) })] });
      const share = plannedShareOf(root, { pid: 7, cgroups: [cgroup], changes }, { fs, hierarchy, cores: 2 });
      return "cores" in share ? Number(share.cores.toFixed(3)) : share.unknown;
    };
    expect(sure(0, unit, [written(`${unit}/cpu.weight`, "900")])).toBe(1.8);
    const job = `${unit}/job`;
    const nested: Change[] = [
      created(job),
      { kind: "controller-enabled", hierarchy: "", path: unit, controller: "cpu" },
    ];
    expect(sure(4, job, nested)).toBe(0.2);
    expect(sure(4, job, [...nested, written(`${job}/cpu.weight`, "400")])).toBe(0.5);
  });
});

it("does not wait for a second reading in a container, where what competes is not visible", async () => {
  const { context, start } = openHybridOwner();
  start(20, 1);
  const hierarchies = context.hierarchies.map((each) => ({ ...each, mountRoot: "/docker/abc" }));
  const plan = { pid: 20, cgroups: [], changes: [] };
  expect(await readPlannedShares({ ...context, hierarchies }, [], [plan], 2 ** 31 - 1)).toEqual([
    { unknown: "not all cgroups of the machine are visible, or there are too many threads" },
  ]);
});
