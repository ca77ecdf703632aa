import { afterEach, describe, expect, it } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import { type Host, realHost } from "../../linux/host.ts";
import { type ShareGroup, sharesOf } from "./model.ts";
import { ShareTreeReader } from "./shareTree.ts";
import { SureCoresReader } from "./sureCores.ts";

const directories: string[] = [];
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A machine of files: cgroups below `cgroup`, processes below `proc`. One call of `read` is 10 s after the other. */
class Machine {
  readonly root = mkdtempSync(join(tmpdir(), "ffrtmp-shares-"));
  readonly hierarchy: Hierarchy;
  readonly host: Host;
  #nowMs = 0;
  #reader: ShareTreeReader | undefined;
  #sure: SureCoresReader | undefined;

  constructor(version: 1 | 2, different: Partial<Hierarchy> = {}) {
    directories.push(this.root);
    const mountPoint = join(this.root, "cgroup");
    const key = version === 1 ? "cpu" : "";
    this.hierarchy = { key, version, controllers: ["cpu"], mountPoint, mountRoot: "/", ...different };
    this.host = { ...realHost(), procRoot: join(this.root, "proc"), bootNow: () => this.#nowMs };
    mkdirSync(join(this.root, "proc"), { recursive: true });
    mkdirSync(mountPoint);
  }

  write(path: string, text: string): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Sets how long a thread was ready until now, in seconds. */
  thread(tid: number, readySeconds: number, { nice = 0, policy = 0, autogroup = "" } = {}): void {
    this.write(`proc/${tid}/schedstat`, `${readySeconds * 0.75e9} ${readySeconds * 0.25e9} 7\n`);
    const fields = Array.from({ length: 50 }, (_, index) => (index + 3 === 19 ? nice : 0));
    fields[41 - 3] = policy;
    this.write(`proc/${tid}/stat`, `${tid} (a b) ${fields.join(" ")}\n`);
    this.write(`proc/${tid}/autogroup`, autogroup);
  }

  read(...jobs: string[]): ShareGroup | undefined {
    this.#reader ??= new ShareTreeReader(this.host, [this.hierarchy]);
    this.#nowMs += 10_000;
    return this.#reader.read(jobs.map((name) => this.job(name)));
  }

  /** Returns what a job is sure of; `null` for the first call. */
  sure(name: string): number | null {
    this.#sure ??= new SureCoresReader(this.host, [this.hierarchy]);
    this.#nowMs += 10_000;
    return this.#sure.measure([this.job(name)])(this.job(name));
  }

  /** Returns how often the tree is read for so many questions about a job, which follow each other after this time. */
  readsOfSure(name: string, questions: number, everyMs: number): number {
    let reads = 0;
    const { cgroupFs } = this.host;
    const read = (path: string): string => {
      if (path === join(this.root, "cgroup/tasks")) reads++;
      return cgroupFs.read(path);
    };
    const sure = new SureCoresReader({ ...this.host, cgroupFs: { ...cgroupFs, read } }, [this.hierarchy]);
    for (let count = 0; count < questions; count++) {
      sure.measure([this.job(name)])(this.job(name));
      this.#nowMs += everyMs;
    }
    return reads;
  }

  job(name: string) {
    const isElsewhere = name.startsWith("/");
    return {
      name,
      path: isElsewhere ? join(this.root, name) : join(this.root, "cgroup", name),
      threadsFile: isElsewhere || this.hierarchy.version === 1 ? "tasks" : "cgroup.threads",
      pid: 1,
    };
  }

  /** Writes the files of a cgroup of v1. */
  groupV1(name: string, tids: readonly number[], shares = 1024, quota = -1): void {
    const files = {
      "cpu.shares": shares,
      "cpu.cfs_quota_us": quota,
      "cpu.cfs_period_us": 100_000,
      "cpu.idle": 0,
    };
    for (const [file, value] of Object.entries(files)) this.write(`cgroup/${name}/${file}`, `${value}\n`);
    this.write(`cgroup/${name}/tasks`, tids.map((tid) => `${tid}\n`).join(""));
  }
}

const child = (root: ShareGroup | undefined, name: string) =>
  root?.children.find(({ path }) => path.endsWith(`/${name}`));

describe("the tree of what competes for the CPUs", () => {
  it("has weights, quotas and the time in which threads were ready, of cgroup v1", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", "10\n11\n");
    machine.groupV1("job", [20, 21, 22], 10, 50_000);
    machine.groupV1("other", [30]);
    machine.groupV1("other/deeper", [31]);
    for (const tid of [10, 11, 20, 21, 22, 30, 31]) machine.thread(tid, 100);
    expect(machine.read("job")).toBeUndefined();
    machine.thread(10, 105, { nice: 5 });
    machine.thread(20, 109);
    machine.thread(21, 100.001);
    machine.thread(30, 103);
    machine.thread(31, 110);
    const root = machine.read("job");
    // Each thread of a job that has run counts, and of others the time in which they were ready.
    expect(child(root, "job")).toMatchObject({
      quotaCores: 0.5,
      threads: [{ weight: 100, demandCores: 2 }],
      children: [],
    });
    expect(child(root, "job")?.weight).toBeCloseTo(0.977, 3);
    expect(child(root, "other")).toMatchObject({ weight: 100, quotaCores: null });
    expect(child(root, "other")?.threads[0]?.demandCores).toBeCloseTo(1.3, 9);
    expect(root?.threads).toHaveLength(1);
    expect(root?.threads[0]?.weight).toBeCloseTo(32.8, 1);
    expect(root?.threads[0]?.demandCores).toBeCloseTo(0.5, 9);
  });

  it("has the cgroups around a job one by one, with the threads beside it", () => {
    const machine = new Machine(1);
    machine.groupV1("owner", [10, 11], 2048);
    machine.groupV1("owner/job", [20]);
    for (const tid of [10, 11, 20]) machine.thread(tid, 0);
    machine.read("owner/job");
    for (const [tid, seconds] of [
      [10, 10],
      [11, 2],
      [20, 9],
    ] as const)
      machine.thread(tid, seconds);
    const owner = child(machine.read("owner/job"), "owner");
    expect(owner).toMatchObject({ weight: 200 });
    expect(owner?.threads.map(({ demandCores }) => demandCores)).toEqual([1, 0.2]);
    expect(child(owner, "job")?.threads).toEqual([{ weight: 100, demandCores: 1 }]);
  });

  it("counts the threads of cgroup v2 without the controller beside those of the cgroup above", () => {
    const machine = new Machine(2);
    const v2 = (name: string, tids: readonly number[], files: Record<string, string>) => {
      machine.write(`cgroup/${name}/cgroup.threads`, tids.map((tid) => `${tid}\n`).join(""));
      for (const [file, text] of Object.entries(files)) machine.write(`cgroup/${name}/${file}`, text);
    };
    v2("", [], {});
    v2("plain", [10], {});
    const cpus = { "cpuset.cpus.effective": "0-1,4\n" };
    v2("job", [20], { "cpu.weight": "1000\n", "cpu.max": "max 100000\n", "cpu.idle": "0\n", ...cpus });
    v2("idle", [30], { "cpu.weight": "100\n", "cpu.max": "25000 50000\n", "cpu.idle": "1\n" });
    for (const tid of [10, 20, 30]) machine.thread(tid, 0);
    machine.read("job");
    for (const tid of [10, 20, 30]) machine.thread(tid, 10, { policy: tid === 10 ? 5 : 0 });
    const root = machine.read("job");
    expect(root?.threads).toEqual([{ weight: 300 / 1024, demandCores: 1 }]);
    expect(child(root, "job")).toMatchObject({ weight: 1000, quotaCores: null, cpus: 3 });
    expect(child(root, "idle")).toMatchObject({ weight: 300 / 1024, quotaCores: 0.5 });
    expect(root?.children).toHaveLength(2);
  });

  it("takes the threads of a session in the root cgroup together where the kernel does", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", "10\n11\n12\n13\n");
    machine.write("proc/sys/kernel/sched_autogroup_enabled", "1\n");
    for (const tid of [10, 11, 12, 13]) machine.thread(tid, 0);
    machine.read();
    for (const tid of [10, 11, 12]) machine.thread(tid, 8, { autogroup: "/autogroup-7 nice 0\n", nice: 19 });
    machine.thread(13, 1);
    const root = machine.read();
    expect(root?.threads).toEqual([{ weight: 100, demandCores: 0.1 }]);
    expect(root?.children).toMatchObject([{ weight: 100, children: [] }]);
    expect(root?.children[0]?.threads.map(({ demandCores }) => demandCores)).toEqual([0.8, 0.8, 0.8]);
    machine.write("proc/sys/kernel/sched_autogroup_enabled", "0\n");
    for (const tid of [10, 11, 12]) machine.thread(tid, 16, { nice: 19 });
    expect(machine.read()?.threads).toHaveLength(3);
  });

  it("counts the threads of a job without a cgroup there together, as many as were ready at once", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", "10\n20\n21\n22\n");
    machine.write("other/job/tasks", "20\n21\n22\n");
    for (const tid of [10, 20, 21, 22]) machine.thread(tid, 0);
    machine.read("/other/job");
    for (const [tid, seconds] of [
      [10, 5],
      [20, 6],
      [21, 7],
    ] as const)
      machine.thread(tid, seconds, { nice: tid === 10 ? 0 : 19 });
    const root = machine.read("/other/job");
    expect(root?.threads).toMatchObject([{ name: "/other/job", demandCores: 2 }, { demandCores: 0.5 }]);
    expect(root?.threads[0]?.weight).toBeCloseTo(2 * 1.44, 2);
    // On one CPU, two threads of nice 19 beside one of nice 0 that wants half of it.
    expect(sharesOf(root as ShareGroup, 1).get("/other/job")).toBeCloseTo(0.5, 2);
  });

  it("gives the sure cores of a job where the CPUs are known, and its threads ran", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", "10\n");
    machine.groupV1("job", [20, 21], 3072);
    for (const tid of [10, 20, 21]) machine.thread(tid, 0);
    machine.write("proc/stat", "cpu  1 0 1 1 0 0 0 0 0 0\ncpu0 1 0 1 1 0 0 0 0 0 0\n");
    expect(machine.sure("job")).toBeNull();
    const run = (seconds: number) => {
      for (const tid of [10, 20, 21]) machine.thread(tid, seconds);
    };
    run(10);
    expect(machine.sure("job")).toBeCloseTo(0.75, 9);
    expect(machine.sure("job")).toBeNull();
    run(20);
    rmSync(join(machine.root, "proc/stat"));
    expect(machine.sure("job")).toBeNull();
  });

  it("reads a tree that is too large no more often than any other", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", Array.from({ length: 4001 }, (_, n) => `${n + 1}\n`).join(""));
    machine.groupV1("job", [20]);
    expect(machine.readsOfSure("job", 20, 500)).toBe(2);
  });

  it("has room for the cgroups of 520 jobs", () => {
    const machine = new Machine(1);
    const names = Array.from({ length: 520 }, (_, n) => `job${n}`);
    machine.write("cgroup/tasks", "10\n");
    names.forEach((name, n) => {
      machine.groupV1(name, [1000 + n]);
    });
    machine.read(...names);
    expect(machine.read(...names)?.children).toHaveLength(520);
  });

  it("counts a new thread from its start, and one with a reused id too", () => {
    const machine = new Machine(1);
    machine.write("cgroup/tasks", "10\n");
    machine.thread(10, 50);
    machine.read();
    machine.write("cgroup/tasks", "10\n11\n");
    machine.thread(10, 2);
    machine.thread(11, 3);
    expect(machine.read()?.threads.map(({ demandCores }) => demandCores)).toEqual([0.2, 0.3]);
  });

  it("is unknown in a container, in another namespace, and with too many threads", () => {
    const container = new Machine(1, { mountRoot: "/docker/abc" });
    container.read();
    expect(container.read()).toBeUndefined();
    const inside = new Machine(1);
    mkdirSync(join(inside.root, "proc/self/ns"), { recursive: true });
    symlinkSync("cgroup:[4026532999]", join(inside.root, "proc/self/ns/cgroup"));
    inside.read();
    expect(inside.read()).toBeUndefined();

    const large = new Machine(1);
    large.write("cgroup/tasks", Array.from({ length: 4001 }, (_, n) => `${n + 1}\n`).join(""));
    large.read();
    expect(large.read()).toBeUndefined();
    large.write("cgroup/tasks", "1\n");
    large.read();
    expect(large.read()).toBeDefined();
  });
});
