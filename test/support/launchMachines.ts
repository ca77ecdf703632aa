import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createContext } from "../../src/jobs/context.ts";
import type { RunningJob } from "../../src/jobs/model/job.ts";
import { groupName } from "../../src/jobs/model/jobId.ts";
import type { spawnWorkload } from "../../src/jobs/start/spawn.ts";
import { startWorkload } from "../../src/jobs/start/startWorkload.ts";
import { type RepeatedLaunch, repeatLaunch } from "../../src/launch/launch.ts";
import { LaunchRecorder } from "../../src/launch/recorder.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import type { Limits } from "../../src/limits/limits.ts";
import type { CgroupFs } from "../../src/linux/cgroupFs.ts";
import type { Host } from "../../src/linux/host.ts";
import type { Bus, BusProperty } from "../../src/linux/systemdBus.ts";
import { readBootMs } from "../../src/sys/clock.ts";
import { type FakeCgroups, fakeV1, fakeV2 } from "./fakeCgroups.ts";
import { statLine } from "./procTree.ts";

export type MachineKind = "v1" | "v1 together" | "v2 at the root" | "v2 beside" | "v2 in a service";

/** What `run` is asked for: the options as words, and as the limits that they mean. */
export interface LaunchRequest {
  words: string[];
  limits: Limits;
}

const CALLER = "/media/encoder";
const SLICE = "/system.slice";
const SERVICE = `${SLICE}/encoder.service`;
const BOOT_ID = "5c1f5a3e-0000-4000-8000-000000000000";
const WORKLOAD = 4711;
const THREAD = 4712;
const THREAD_OF_THREAD = 4713;
const TOP = "/sys/fs/cgroup";

/** A machine in memory on which the process of the test runs ffrtmp, and a state directory. Dispose of it after use. */
export class LaunchMachine {
  readonly fake: FakeCgroups;
  readonly directory = mkdtempSync(join(tmpdir(), "ffrtmp-launch-"));
  readonly warnings: string[] = [];
  /** The kernel starts no process. */
  refusesProcesses = false;
  /** The threads that the runtime has started. */
  readonly started: number[] = [];
  /**
   * The runtime starts a thread, `THREAD`, while a workload is started. That one starts another one, just before it is moved out
   * of the job's cgroup (v1).
   */
  startsThread = false;
  /** The cgroups in which each workload began. */
  readonly begunIn: string[] = [];
  readonly #proc = join(this.directory, "proc");
  readonly #callers: Map<string, string>;
  readonly #bus: Bus | undefined;
  /** systemd refuses to start a scope. */
  refusesScopes = false;
  readonly scopes: { unit: string; properties: readonly BusProperty[] }[] = [];

  constructor(kind: MachineKind, state?: string) {
    this.fake = kind === "v1" ? fakeV1() : kind === "v1 together" ? fakeV1(TOGETHER) : fakeV2();
    const { fs } = this.fake;
    const caller = kind === "v2 at the root" ? "/" : kind === "v2 in a service" ? SERVICE : CALLER;
    if (kind === "v2 in a service") this.#bus = this.#manager();
    if (caller !== "/") {
      for (const { mountPoint, version, controllers } of this.fake.hierarchies) {
        for (const path of [dirname(`${mountPoint}${caller}`), `${mountPoint}${caller}`]) {
          fs.mkdir(path);
          for (const file of controllers.includes("cpuset") && version === 1
            ? ["cpuset.mems", "cpuset.cpus"]
            : [])
            fs.write(`${path}/${file}`, fs.read(`${dirname(path)}/${file}`));
        }
      }
    }
    if (kind.startsWith("v2"))
      for (const path of caller === "/" ? [TOP] : [TOP, dirname(`${TOP}${caller}`)])
        fs.write(`${path}/cgroup.subtree_control`, "+cpu +memory +pids +io +cpuset");
    this.fake.addProcess(process.pid, caller);
    this.fake.actAs(process.pid);
    this.#callers = new Map(
      this.fake.hierarchies.map(({ key, mountPoint }) => [key, `${mountPoint}${caller}`]),
    );
    this.state = state ?? join(this.directory, "state");
    this.#putProc();
  }

  /** The state directory. */
  readonly state: string;

  get host(): Host {
    const bus = this.#bus === undefined ? {} : { bus: this.#bus };
    return { procRoot: this.#proc, cgroupFs: this.fake.fs, now: Date.now, bootNow: readBootMs, ...bus };
  }

  /** The directory of the caller's cgroup in one hierarchy. */
  callerIn(hierarchy: string): string {
    return (this.#callers.get(hierarchy) as string).replace(/\/$/, "");
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  /** Launches as the full program does, and records the launch. */
  launch({ words, limits }: LaunchRequest): RunningJob {
    const state = locateState(this.state, {});
    const recorder = new LaunchRecorder(this.host, state, { words, workdir: undefined });
    const warn = (message: string): void => {
      this.warnings.push(message);
      recorder.warned();
    };
    const ledger = new Ledger(state.ledger, warn);
    try {
      const context = createContext({ host: recorder.host, ledger, state, warn });
      const { job } = startWorkload(context, { ...this.#request(), limits, observer: recorder }, this.#spawn);
      recorder.save(job);
      return job;
    } finally {
      ledger.close();
    }
  }

  /** Launches as the record of an earlier launch says; `undefined` where the full program has to. */
  repeat({ words }: LaunchRequest): RepeatedLaunch | undefined {
    const before = process.env["FFRTMP_STATE"];
    process.env["FFRTMP_STATE"] = this.state;
    try {
      const argv = ["bun", "ffrtmp", "run", ...words, "--", "true"];
      const warn = (message: string): void => void this.warnings.push(message);
      return repeatLaunch(argv, warn, { host: this.host, spawn: this.#spawn });
    } finally {
      this.#removeEmptyScopes();
      if (before === undefined) delete process.env["FFRTMP_STATE"];
      else process.env["FFRTMP_STATE"] = before;
    }
  }

  /** Returns the text of /proc/PID/cgroup, with `GROUP` for the names of cgroups and scopes of jobs. */
  cgroupOf(pid: number): string {
    return this.fake.cgroupText(pid).replaceAll(/ffrtmp-[0-9a-f]{6}-[^/.\n]+/g, "GROUP");
  }

  /** Returns every cgroup with its files, and with `GROUP` for the name of a job's. */
  tree(jobId = "none"): Record<string, string> {
    const { fs, hierarchies } = this.fake;
    const found: Record<string, string> = {};
    const visit = (path: string): void => {
      found[this.#plain(path, jobId)] = "";
      for (const file of fs.files(path))
        found[this.#plain(`${path}/${file}`, jobId)] = readOrNone(fs, `${path}/${file}`);
      for (const child of fs.children(path)) visit(`${path}/${child}`);
    };
    for (const { mountPoint } of hierarchies) visit(mountPoint);
    return found;
  }

  #plain(text: string, jobId: string): string {
    return text.replaceAll(groupName(locateState(this.state, {}).tag, jobId), "GROUP");
  }

  /** Returns the facts of a job that do not differ between two launches. */
  facts(job: RunningJob): unknown {
    const { key: _, createdMs: _created, startedMs: _started, observer: _observer, ...facts } = job;
    return JSON.parse(this.#plain(JSON.stringify({ ...facts, jobId: "JOB" }), job.jobId));
  }

  /** Returns a systemd that starts scopes, and knows no restrictions. */
  #manager(): Bus {
    // A fault of the calls of ffrtmp is none of systemd.
    const fs = { ...this.fake.fs };
    const bus: Bus = {
      startTransientUnit: (_manager, unit, properties) => {
        if (this.refusesScopes) return "no scope";
        const path = `${TOP}${SLICE}/${unit}`;
        fs.mkdir(path);
        fs.write(`${path}/cgroup.procs`, "0");
        writeFileSync(join(this.#proc, `${process.pid}/cgroup`), this.fake.cgroupText(process.pid));
        this.scopes.push({ unit, properties });
        return undefined;
      },
      readProperties: (_manager, _unit, _type, names) => ({ values: names.map(() => []) }),
      inOneConnection: (work) => work(bus),
    };
    return bus;
  }

  #removeEmptyScopes(): void {
    const { fs } = this.fake;
    for (const { unit } of this.scopes) {
      const path = `${TOP}${SLICE}/${unit}`;
      if (fs.exists(path) && fs.children(path).length === 0 && !fs.hasProcesses(path)) fs.rmdir(path);
    }
  }

  #request() {
    const jobId = `true-${Date.now().toString(36)}-${this.begunIn.length}`;
    const spec = { jobId, intent: null, slaEligible: false, tenant: null, labels: {} };
    const standard: ["ignore", "ignore", "ignore"] = ["ignore", "ignore", "ignore"];
    const workload = {
      command: ["true"],
      commandBytes: [],
      workingDirectory: process.cwd(),
      standard,
      inherited: [],
    };
    return { ...spec, ...workload, logPath: null };
  }

  /** Starts a process in memory, where the kernel would. */
  readonly #spawn: typeof spawnWorkload = (_host, { enters }) => {
    if (this.startsThread) this.#startThread(process.pid, THREAD);
    if (this.refusesProcesses) throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
    // A child begins where the thread is that makes it.
    if (enters === undefined) this.fake.addThread(process.pid, WORKLOAD);
    else this.fake.addProcess(WORKLOAD, enters.slice(TOP.length));
    this.begunIn.push(this.cgroupOf(WORKLOAD));
    this.fake.exit(WORKLOAD);
    return {
      pid: WORKLOAD,
      exited: Promise.resolve(0),
      exitCode: 0,
      signalCode: null,
      resourceUsage: () => undefined,
    } as never;
  };

  #startThread(starting: number, tid: number): void {
    this.fake.addThread(starting, tid);
    mkdirSync(join(this.#proc, `${process.pid}/task/${tid}`));
    this.started.push(tid);
    if (tid !== THREAD) return;
    const { write } = this.fake.fs;
    this.fake.fs.write = (path, data) => {
      if (data === String(THREAD) && this.started.length === 1) this.#startThread(THREAD, THREAD_OF_THREAD);
      write(path, data);
    };
  }

  #putProc(): void {
    const put = (name: string, text: string): void => {
      mkdirSync(dirname(join(this.#proc, name)), { recursive: true });
      writeFileSync(join(this.#proc, name), text);
    };
    put(`${process.pid}/stat`, statLine({ pid: process.pid }));
    put(`${process.pid}/cgroup`, this.fake.cgroupText(process.pid));
    put(`${process.pid}/mountinfo`, this.fake.mountinfo);
    put(`${WORKLOAD}/stat`, statLine({ pid: WORKLOAD, startTicks: 99 }));
    put("sys/kernel/random/boot_id", `${BOOT_ID}\n`);
    put("meminfo", "MemTotal:       24660684 kB\n");
    mkdirSync(join(this.#proc, `${process.pid}/fd`));
    mkdirSync(join(this.#proc, `${process.pid}/task/${process.pid}`), { recursive: true });
    symlinkSync("/proc/self/exe", join(this.#proc, `${process.pid}/exe`));
    symlinkSync(String(process.pid), join(this.#proc, "self"));
  }
}

const TOGETHER = { together: ["cpu,cpuacct", "memory,pids"] };

function readOrNone(fs: CgroupFs, path: string): string {
  try {
    return fs.read(path);
  } catch (error) {
    return String((error as { code?: string }).code);
  }
}

/** Returns the lines of the file in which a repeated launch is recorded. */
export function inboxLines({ plain: { file } }: RepeatedLaunch): unknown[] {
  return readFileSync(`${file.directory}/${file.name}`, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}
