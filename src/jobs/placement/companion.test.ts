import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { findRealCgroups } from "../../../test/support/realCgroups.ts";
import { testIf } from "../../../test/support/sandbox.ts";
import { Ledger } from "../../ledger/ledger.ts";
import { locateState } from "../../ledger/location.ts";
import { hasOnlyCompanions } from "../../linux/cgroup/companion.ts";
import { readHierarchies } from "../../linux/cgroup/hierarchies.ts";
import { realHost } from "../../linux/host.ts";
import { detach } from "../attach/detach.ts";
import { createContext } from "../context.ts";
import { recordExit } from "../exit/recordExit.ts";
import { enforceLimits } from "../limits/enforceLimits.ts";
import { startWorkload } from "../start/startWorkload.ts";
import { jobCgroupOf, usageOf } from "./jobCgroup.ts";

const { openHybridOwner } = useGovernedFakes();
const UNIT = "/system.slice/encoder.service";
const LIMITS = { pidsMax: 64, cpuMax: { quotaUsec: 50_000, periodUsec: 100_000 } } as const;

test("a job on cgroup v1 has a companion in the v2 hierarchy beside it, which detach removes", () => {
  const { fake, context, owner, start, govern } = openHybridOwner();
  start(4026, 1);
  start(4027, 4026);
  const before = [4026, 4027].map((pid) => fake.cgroupText(pid));
  const job = govern(4026, LIMITS);
  const companion = `${owner}/ffrtmp-${context.state.tag}-kept`;
  expect([4026, 4027].map((pid) => fake.membership(pid).get(""))).toEqual([
    `${UNIT}/ffrtmp-${context.state.tag}-kept`,
    `${UNIT}/ffrtmp-${context.state.tag}-kept`,
  ]);
  expect(job.changes.filter(({ kind }) => kind === "file-written")).toEqual([]);
  expect(context.host.cgroupFs.read(`${companion}/cgroup.type`).trim()).toBe("domain");
  expect(context.host.cgroupFs.read(`${owner}/cgroup.type`).trim()).toBe("domain");
  expect(context.ledger.job(job.key)?.cgroup.at(-1)).toMatchObject({ hierarchy: "", path: companion });
  detach(context, job, jobCgroupOf(context, job));
  expect([4026, 4027].map((pid) => fake.cgroupText(pid))).toEqual(before);
  expect(context.host.cgroupFs.exists(companion)).toBe(false);
});

test("the pressure of a job on cgroup v1 is that of its companion, and everything else that of cgroup v1", () => {
  const { fake, context, owner, start, govern } = openHybridOwner();
  start(4026, 1);
  const job = govern(4026, LIMITS);
  const name = `ffrtmp-${context.state.tag}-kept`;
  fake.set(`${owner}/${name}/cpu.pressure`, "some avg10=0.00 avg60=0.00 avg300=0.00 total=4200\n");
  fake.set(`${owner}/${name}/cpu.stat`, "usage_usec 9\nuser_usec 5\nsystem_usec 4\n");
  fake.set(`/sys/fs/cgroup/cpuacct${UNIT}/${name}/cpuacct.usage`, "7000000\n");
  fake.set(`/sys/fs/cgroup/cpuacct${UNIT}/${name}/cpuacct.usage_user`, "7000000\n");
  fake.set(`/sys/fs/cgroup/cpuacct${UNIT}/${name}/cpuacct.usage_sys`, "0\n");
  const usage = usageOf(job, jobCgroupOf(context, job));
  expect(usage).toMatchObject({ cpuPressureUsec: 4200, cpuUserUsec: 7000, cpuSystemUsec: 0 });
  expect(usage.throttledUsec).toBe(0);
});

test("the repair of a limit on cgroup v1 asks the v2 hierarchy for no controller", () => {
  const { context, start, govern } = openHybridOwner();
  start(4026, 1);
  const job = govern(4026, LIMITS);
  const name = `ffrtmp-${context.state.tag}-kept`;
  const { write } = context.host.cgroupFs;
  write(`/sys/fs/cgroup/pids${UNIT}/${name}/pids.max`, "max");
  const written: string[] = [];
  context.host.cgroupFs.write = (path, data) => {
    written.push(path);
    write(path, data);
  };
  const { job: after, repairs } = enforceLimits(context, job);
  expect(repairs).toMatchObject([{ what: "pids.max", did: "reapplied" }]);
  expect(after.outcomes).toEqual(job.outcomes);
  expect(written).toEqual([`/sys/fs/cgroup/pids${UNIT}/${name}/pids.max`]);
});

test("a job has no companion where this user may not make one, and its outcomes are the same", () => {
  const { fake, context, owner, start, govern } = openHybridOwner();
  start(4026, 1);
  fake.setAccess("read-only", owner);
  const job = govern(4026, LIMITS);
  expect(job.cgroup.some(({ hierarchy }) => hierarchy === "")).toBe(false);
  expect(job.outcomes.map(({ outcome }) => outcome)).toEqual(["applied", "applied"]);
  expect(fake.membership(4026).get("")).toBe(UNIT);
  expect(usageOf(job, jobCgroupOf(context, job)).cpuPressureUsec).toBeNull();
});

test("a companion that the process cannot be moved into is removed, so that it shows no pressure of 0", () => {
  const { fake, context, owner, start, govern } = openHybridOwner();
  start(4026, 1);
  start(4027, 4026);
  const { write } = context.host.cgroupFs;
  context.host.cgroupFs.write = (path, data) => {
    if (path.startsWith(`${owner}/ffrtmp-`) && data === "4026")
      throw Object.assign(new Error("EACCES: permission denied"), { code: "EACCES" });
    write(path, data);
  };
  const job = govern(4026, LIMITS);
  expect(job.cgroup.some(({ hierarchy }) => hierarchy === "")).toBe(false);
  expect(context.host.cgroupFs.children(owner)).toEqual([]);
  expect(fake.membership(4027).get("")).toBe(UNIT);
  expect(fake.membership(4027).get("pids")).toEndWith("-kept");
  expect(job.outcomes.map(({ outcome }) => outcome)).toEqual(["applied", "applied"]);
});

test("the companion of a job with a tenant is in the tenant's cgroup of that hierarchy, which its last job removes", () => {
  const { fake, context, owner, start, govern } = openHybridOwner();
  start(4026, 1);
  const job = govern(4026, LIMITS, { tenant: { name: "acme", limits: { pidsMax: 100 } } });
  const [group = ""] = context.host.cgroupFs.children(owner);
  expect(fake.membership(4026).get("")).toBe(`${UNIT}/${group}/ffrtmp-${context.state.tag}-kept`);
  fake.exit(4026);
  recordExit(context, job, { kind: "exit-unknown", reason: "a test" });
  expect(context.host.cgroupFs.children(owner)).toEqual([]);
});

const clean: (() => void)[] = [];
afterEach(() => {
  while (clean.length > 0) clean.pop()?.();
});

testIf(lacksHybrid())(
  "a workload starts outside of its companion where the kernel does not let it begin there",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
    clean.push(() => rmSync(directory, { recursive: true }));
    const state = locateState(directory, {});
    const host = realHost();
    const unified = readHierarchies(host).find(hasOnlyCompanions)?.mountPoint ?? "";
    // The directory is never made, and the kernel refuses to clone a process into it.
    const mkdir = (path: string): void => {
      if (!path.startsWith(unified)) host.cgroupFs.mkdir(path);
    };
    const ledger = new Ledger(state.ledger, console.log);
    const cgroupFs = { ...host.cgroupFs, mkdir };
    const context = createContext({ host: { ...host, cgroupFs }, ledger, state, warn: console.log });
    const { job, ended } = startWorkload(context, {
      ...{ jobId: "outside", intent: null, slaEligible: true, tenant: null, labels: {}, limits: LIMITS },
      command: ["true"],
      commandBytes: [Buffer.from("true")],
      workingDirectory: process.cwd(),
      standard: ["ignore", "ignore", "ignore"],
      inherited: [],
      logPath: null,
    });
    const { ending } = await ended;
    expect(ending).toMatchObject({ kind: "exited", code: 0 });
    expect(job.cgroup.some(({ hierarchy }) => hierarchy === "")).toBe(false);
    const { result } = recordExit(context, job, ending);
    expect(result.usage).toMatchObject({ cpuPressureUsec: null, throttledUsec: 0 });
    expect(job.cgroup.filter(({ path }) => existsSync(path))).toEqual([]);
    ledger.close();
  },
);

function lacksHybrid(): string | undefined {
  const real = findRealCgroups(1);
  if (typeof real === "string") return real;
  const isHybrid = readHierarchies(realHost()).some(hasOnlyCompanions);
  return isHybrid ? undefined : "needs a v2 hierarchy without controllers beside those of cgroup v1";
}
