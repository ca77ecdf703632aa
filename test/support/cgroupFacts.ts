import type { CgroupFs } from "../../src/linux/cgroupFs.ts";

/** The machine and the new, empty cgroup for a series of acts. */
export interface Trial {
  fs: CgroupFs;
  /**
   * The cgroup's directory in the hierarchy of a controller. On v2 it is the same for all, which are enabled
   * in it.
   */
  directory(controller: string): string;
  /** `major:minor` of a whole disk. */
  disk: string;
  /** A process that the acts may move. */
  pid: number;
}

type Act = (trial: Trial, path: (suffix?: string) => string) => string;

/** Writes, and returns the answer and the content of the file afterwards: `EINVAL, holds -1`. */
function write(file: string, data: string): Act {
  return ({ fs, disk, pid }, path) => {
    const filled = data.replace("DISK", disk).replace("PID", String(pid));
    const answer = attempt(() => fs.write(path(file), filled));
    return `write ${file} ${JSON.stringify(data)}: ${answer}, holds ${readText(fs, path(file), disk, pid)}`;
  };
}

function read(file: string): Act {
  return ({ fs, disk, pid }, path) => `read ${file}: ${readText(fs, path(file), disk, pid)}`;
}

function mkdir(name: string): Act {
  return ({ fs }, path) => `mkdir ${JSON.stringify(name)}: ${attempt(() => fs.mkdir(path(name)))}`;
}

function rmdir(name: string): Act {
  return ({ fs }, path) => `rmdir ${name}: ${attempt(() => fs.rmdir(path(name)))}`;
}

function children(name: string): Act {
  return ({ fs }, path) => {
    let names: string[] = [];
    const answer = attempt(() => {
      names = fs.children(path(name));
    });
    return `children of ${name}: ${answer} ${names.sort().join()}`;
  };
}

function attempt(act: () => void): string {
  try {
    act();
    return "ok";
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

function readText(fs: CgroupFs, path: string, disk: string, pid: number): string {
  let text = "";
  const answer = attempt(() => {
    text = fs.read(path);
  });
  if (answer !== "ok") return answer;
  const listsPids = /(procs|threads|tasks)$/.test(path);
  return JSON.stringify(listsPids ? text.replace(`${pid}\n`, "PID\n") : text.replace(disk, "DISK"));
}

/**
 * Acts by controller, which a correct fake answers as the kernel does. Each series starts in a new cgroup.
 */
export type Facts = Record<string, Act[]>;

/** Runs the acts and returns a line for each. */
export function tryFacts(facts: Facts, trial: Trial): string[] {
  return Object.entries(facts).flatMap(([controller, acts]) => {
    const base = trial.directory(controller);
    const path = (suffix = ""): string => (suffix === "" ? base : `${base}/${suffix}`);
    const answers = acts.map((act) => `${controller}: ${act(trial, path)}`);
    clear(trial.fs, base);
    return answers;
  });
}

/** Removes the cgroups of a series, the deepest first. */
function clear(fs: CgroupFs, directory: string): void {
  for (const child of fs.children(directory)) {
    clear(fs, `${directory}/${child}`);
    fs.rmdir(`${directory}/${child}`);
  }
}

const MEMORY_VALUES = [
  "67108864",
  "67108865",
  "4095",
  "64M",
  "1g",
  "-2",
  "abc",
  "1e9",
  "18446744073709551615",
  "",
  "0",
];

const NAMES: Act[] = [
  mkdir("a"),
  mkdir("a"),
  mkdir("a\nb"),
  mkdir("missing/b"),
  mkdir("cgroup.procs"),
  mkdir("cgroup.procs/b"),
  mkdir("x".repeat(300)),
  children(""),
  children("missing"),
  children("cgroup.procs"),
  rmdir("missing"),
  rmdir("cgroup.procs"),
  read("missing"),
  write("missing", "1"),
  write("a", "1"),
  mkdir("a/b"),
  rmdir("a"),
  rmdir("a/b"),
  rmdir("a"),
];

const PIDS: Act[] = [
  read("pids.max"),
  ...["10", "0", "max", "-1", "4194304", "4194305", "abc", "", "10 ", "0x10", "010", "1.5"].map((max) =>
    write("pids.max", max),
  ),
];

export const V1_FACTS: Facts = {
  cpu: [
    ...NAMES,
    read("cpu.shares"),
    read("cpu.cfs_quota_us"),
    read("cpu.cfs_period_us"),
    ...[
      "999",
      "1000",
      "0",
      "-1",
      "-5",
      "abc",
      "",
      " 5000 ",
      "5000\n",
      "max",
      "17592186044415",
      "17592186044416",
    ].map((quota) => write("cpu.cfs_quota_us", quota)),
    write("cpu.cfs_quota_us", "0x2710"),
    ...["999", "1000001", "1000000", "-1", "", "x"].map((period) => write("cpu.cfs_period_us", period)),
    ...["0", "1", "2", "300000", "-1", "x", "102400", "1000000000000", "", "1.5"].map((shares) =>
      write("cpu.shares", shares),
    ),
    write("cpu.missing", "1"),
    // A child never has more than its parent, and a parent never less than its children.
    write("cpu.cfs_period_us", "100000"),
    write("cpu.cfs_quota_us", "50000"),
    mkdir("child"),
    read("child/cpu.cfs_quota_us"),
    write("child/cpu.cfs_quota_us", "60000"),
    write("child/cpu.cfs_quota_us", "50000"),
    write("child/cpu.cfs_period_us", "50000"),
    write("child/cpu.cfs_period_us", "200000"),
    write("cpu.cfs_quota_us", "20000"),
    mkdir("child/child"),
    write("child/cpu.cfs_quota_us", "-1"),
    write("child/child/cpu.cfs_quota_us", "60000"),
    write("cpu.cfs_quota_us", "-1"),
    // Members.
    write("cgroup.procs", "PID"),
    read("tasks"),
    rmdir("child"),
    rmdir("child/child"),
    write("child/cgroup.procs", "PID"),
    read("cgroup.procs"),
    rmdir("child"),
    ...["4194303", "abc", "-1", "", " PID \n", "99999999999", "1.5"].map((pid) =>
      write("child/cgroup.procs", pid),
    ),
    write("tasks", "PID"),
    read("child/tasks"),
    rmdir("child"),
  ],
  cpuacct: [read("cpuacct.usage_user"), read("cpuacct.usage_sys"), write("cpuacct.usage_user", "1")],
  memory: [
    read("memory.limit_in_bytes"),
    ...MEMORY_VALUES.map((bytes) => write("memory.limit_in_bytes", bytes)),
    write("memory.limit_in_bytes", "-1"),
    write("memory.limit_in_bytes", "max"),
    write("memory.limit_in_bytes", "99999999999999999999"),
    read("memory.soft_limit_in_bytes"),
    ...MEMORY_VALUES.map((bytes) => write("memory.soft_limit_in_bytes", bytes)),
    // Unlike a CPU quota, a child's memory limit may be looser than its parent's.
    write("memory.limit_in_bytes", "64M"),
    mkdir("child"),
    read("child/memory.limit_in_bytes"),
    write("child/memory.limit_in_bytes", "128M"),
    ...["memory.failcnt", "memory.oom_control", "memory.use_hierarchy"].map(read),
  ],
  blkio: [
    ...["read_bps", "write_bps", "read_iops", "write_iops"].flatMap((rate) =>
      [
        "DISK 1048576",
        "DISK 1",
        "DISK 4294967295",
        "DISK 4294967296",
        "DISK 18446744073709551615",
        "DISK 0",
        "DISK max",
        "DISK",
        "DISK -1",
        "DISK abc",
        "999:0 100",
        "abc",
        "8 100",
        "DISK  77 ",
        "DISK 9 more",
        "",
        "DISK 0",
      ].map((rule) => write(`blkio.throttle.${rate}_device`, rule)),
    ),
  ],
  pids: PIDS,
  cpuset: [
    read("cpuset.cpus"),
    write("cgroup.procs", "PID"),
    write("tasks", "PID"),
    write("cpuset.mems", "0"),
    write("cgroup.procs", "PID"),
    ...[
      "0-1",
      "5000",
      "0-5000",
      "abc",
      "1-0",
      "0,1",
      "0,,1",
      "-1",
      "all",
      "0-1:1/2",
      " 0 ",
      "\n",
      "",
      "1",
    ].flatMap((cpus) => [write("cpuset.cpus", cpus), read("cpuset.effective_cpus")]),
    write("cpuset.mems", "1"),
    mkdir("child"),
    read("child/cpuset.cpus"),
    write("child/cpuset.cpus", "0"),
    write("child/cpuset.cpus", "0-1"),
    write("child/cpuset.cpus", "1"),
    write("cpuset.cpus", "0-1"),
    write("cpuset.cpus", "0"),
    write("cpuset.cpus", "\n"),
    write("child/cpuset.cpus", "\n"),
    rmdir("child"),
    write("cgroup.procs", "PID"),
    read("cgroup.procs"),
    write("cpuset.cpus", "\n"),
    write("cpuset.mems", "\n"),
  ],
};

/** The series start in a cgroup that has every controller and enables none for its children. */
export const V2_FACTS: Facts = {
  names: NAMES,
  cpu: [
    read("cpu.max"),
    read("cpu.weight"),
    ...[
      "50000",
      "max",
      "50000 200000",
      "max 100000",
      "max 50000",
      "999 100000",
      "1000 1000",
      "100000 999",
      "100000 1000001",
      "abc",
      "-1",
      " 60000  70000 ",
      "5x 100000",
      "5000x 100000",
      "1000 1000 1000",
      "",
      "17592186044416 100000",
    ].map((max) => write("cpu.max", max)),
    ...["1", "10000", "0", "10001", "-1", "abc", "", "100", " 50"].map((weight) =>
      write("cpu.weight", weight),
    ),
    write("cpu.max", "50000 100000"),
    write("cgroup.subtree_control", "+cpu"),
    mkdir("child"),
    read("child/cpu.max"),
    write("child/cpu.max", "80000 100000"),
    write("cpu.max", "20000 100000"),
    read("child/cpu.max"),
    write("cgroup.subtree_control", "-cpu"),
    read("child/cpu.max"),
    write("cgroup.subtree_control", "+cpu"),
    read("child/cpu.max"),
  ],
  memory: [
    read("memory.max"),
    ...["memory.max", "memory.high"].flatMap((file) =>
      [...MEMORY_VALUES, "max", "-1"].map((bytes) => write(file, bytes)),
    ),
    write("memory.high", "max"),
    write("memory.max", "64M"),
    write("cgroup.subtree_control", "+memory"),
    mkdir("child"),
    read("child/memory.max"),
    write("child/memory.max", "128M"),
    read("memory.events"),
  ],
  io: [
    read("io.max"),
    ...[
      "DISK rbps=1048576",
      "DISK wiops=100 wbps=2097152",
      "DISK rbps=max",
      "DISK rbps=0",
      "DISK rbps=1",
      "DISK riops=1",
      "DISK riops=2",
      "DISK riops=4294967295",
      "DISK riops=4294967294",
      "DISK riops=4294967296",
      "DISK rbps=abc",
      "DISK rbps",
      "DISK foo=100",
      "DISK",
      "999:0 rbps=100",
      "abc",
      "",
      "DISK rbps=5000 foo=1",
      "DISK rbps=max wbps=max riops=max wiops=max",
    ].map((max) => write("io.max", max)),
  ],
  pids: PIDS,
  cpuset: [
    read("cpuset.cpus"),
    read("cpuset.cpus.effective"),
    ...["0", "5000", "abc", "1-0", "0,,1", "-1", "\n", "", "1"].flatMap((cpus) => [
      write("cpuset.cpus", cpus),
      read("cpuset.cpus.effective"),
    ]),
    write("cgroup.subtree_control", "+cpuset"),
    mkdir("child"),
    read("child/cpuset.cpus"),
    read("child/cpuset.cpus.effective"),
    write("child/cpuset.cpus", "0"),
    read("child/cpuset.cpus.effective"),
    write("child/cpuset.cpus", "0-1"),
    read("child/cpuset.cpus.effective"),
  ],
  "controllers for children": [
    read("cgroup.subtree_control"),
    mkdir("child"),
    read("child/cgroup.controllers"),
    read("child/cpu.max"),
    write("child/cgroup.subtree_control", "+cpu"),
    write("cgroup.subtree_control", "+blkio"),
    write("cgroup.subtree_control", "cpu"),
    write("cgroup.subtree_control", "-cpu"),
    write("cgroup.subtree_control", "+memory +pids"),
    read("child/cgroup.controllers"),
    write("child/cgroup.subtree_control", "+memory +cpu"),
    write("child/cgroup.subtree_control", "+memory"),
    write("cgroup.subtree_control", "-memory"),
    write("child/cgroup.subtree_control", "-memory"),
    write("cgroup.subtree_control", "-memory -pids"),
  ],
  "processes and controllers": [
    mkdir("child"),
    write("cgroup.procs", "PID"),
    read("cgroup.procs"),
    write("cgroup.subtree_control", "+memory"),
    write("cgroup.subtree_control", "+io"),
    write("cgroup.subtree_control", "+cpu"),
    read("cgroup.type"),
    read("child/cgroup.type"),
    write("child/cgroup.procs", "PID"),
    write("child/cgroup.threads", "PID"),
    write("cgroup.subtree_control", "+memory"),
    write("child/cgroup.type", "domain"),
    write("child/cgroup.type", "threaded"),
    read("child/cgroup.type"),
    read("child/cgroup.controllers"),
    read("child/cgroup.procs"),
    write("child/cgroup.procs", "PID"),
    read("child/cgroup.procs"),
    read("child/cgroup.threads"),
    read("cgroup.procs"),
    read("cgroup.threads"),
    read("child/cgroup.events"),
    write("child/cgroup.type", "domain"),
    rmdir("child"),
    write("cgroup.procs", "PID"),
    rmdir("child"),
    read("cgroup.type"),
    write("cgroup.subtree_control", "-cpu"),
    read("cgroup.type"),
    mkdir("child"),
    read("child/cgroup.type"),
    write("child/cgroup.procs", "PID"),
    read("cgroup.events"),
    write("cgroup.subtree_control", "+memory"),
    write("cgroup.procs", "PID"),
    mkdir("threaded"),
    write("threaded/cgroup.type", "threaded"),
    write("cgroup.subtree_control", "-memory"),
    write("threaded/cgroup.type", "threaded"),
    write("cgroup.procs", "PID"),
    write("threaded/cgroup.type", "threaded"),
    read("child/cgroup.type"),
    mkdir("threaded/child"),
    read("threaded/child/cgroup.type"),
    ...["4194303", "abc", "-1", "", " PID \n", "99999999999", "1.5"].map((pid) =>
      write("threaded/cgroup.procs", pid),
    ),
    write("cgroup.procs", "PID"),
  ],
};
