import {
  AMOUNT,
  type Comparison,
  CPU_LIST,
  CPU_TIME,
  DEVICE_RATES,
  DISK_WEIGHT,
  IDLE,
  WEIGHT,
} from "./compare.ts";
import * as grammar from "./grammar.ts";
import * as systemd from "./systemdProperties.ts";
import { type LikelyMistake, MEBIBYTE, parseMemory, parseWhole } from "./units.ts";

/**
 * The table of all limits. Command-line options, the policy schema, manual pages, `doctor`, the comparison of limits
 * and the properties of systemd scopes are derived from it. A new limit is a row here and its controller's code.
 */

/** One way to ask for a limit: a key of the policy file, and the option of the same name with `-` for `_`. */
export interface LimitKey<T> {
  /** The option's placeholder, which also selects the notations that help texts explain. */
  placeholder: string;
  help: string;
  /** Describes a valid value, for faults, editors and the manual. */
  expected: string;
  /** Throws ValueFault. */
  parse(text: string): T;
  /** The key of a limit that this one takes the place of. */
  replaces?: string;
  /** 0 asks for no limit: older policies and command lines are written so. */
  zeroIsNone?: true;
  /** Describes a likely mistake in a valid value. */
  mistakeIn?(text: string): LikelyMistake | undefined;
}

interface Row<F extends string, T> {
  field: F;
  keys: Record<string, LimitKey<T>>;
  /** Returns the value as a person writes it. Absent: its string. */
  format?(value: T): string;
  /** The value is a list with one entry for each device, and its keys may be given several times. */
  perDevice?: true;
}

interface CgroupRow<F extends string, T> extends Row<F, T> {
  v1: OnVersion;
  /** `untouched` is the file's text in a new cgroup. Source: "Interface Files" of cgroup-v2.rst. */
  v2: OnVersion & { threaded: boolean; untouched: string };
  compare: Comparison<T>;
  systemd(value: T): systemd.Property[];
  /** Returns a value that `doctor` can write, from a disk (`major:minor`) and the number of a CPU. */
  sample(disk: string | undefined, cpu: string): T | undefined;
}

interface OnVersion {
  controller: string;
  /** The limit of a cgroup also restricts the cgroups below it. */
  inherited: boolean;
}

interface TaskRow<F extends string, T> extends Row<F, T> {
  attributeOf: "thread" | "process";
}

// These check a row, and keep its field as a literal type.
const cgroupLimit = <F extends string, T>(row: CgroupRow<F, T>) => row;
const taskLimit = <F extends string, T>(row: TaskRow<F, T>) => row;

const MAX_PIDS = 4_194_304;

/** In the order in which limits are applied. The names are those of cgroup v2. */
const CGROUP_ROWS = {
  "cpu.max": cgroupLimit({
    field: "cpuMax",
    v1: { controller: "cpu", inherited: true },
    v2: { controller: "cpu", inherited: true, threaded: true, untouched: "max 100000" },
    compare: CPU_TIME,
    format: grammar.formatCpuMax,
    systemd: systemd.quotaProperties,
    sample: () => ({ quotaUsec: 50_000, periodUsec: 100_000 }),
    keys: {
      cpu_quota: {
        placeholder: "percent",
        help: "limit CPU time; 100 = one core, 0 = no limit",
        expected: 'CPU time: percent of a core (150, "150%") or "1.5 cores"',
        parse: grammar.parseCpuQuota,
        zeroIsNone: true,
        mistakeIn: grammar.mistakeInCpuQuota,
      },
      cpu_max: {
        placeholder: "quota period",
        help: 'limit CPU time per period in µs, e.g. "50000 100000"',
        expected: 'CPU time per period in µs: "50000 100000"',
        parse: grammar.parseCpuMax,
      },
    },
  }),
  "cpu.weight": cgroupLimit({
    field: "cpuWeight",
    v1: { controller: "cpu", inherited: false },
    v2: { controller: "cpu", inherited: false, threaded: true, untouched: "100" },
    compare: WEIGHT,
    systemd: systemd.numberProperty("CPUWeight"),
    sample: () => 50,
    keys: {
      cpu_weight: {
        placeholder: "weight",
        help: "set the share of contended CPU, 1-10000; the default is 100",
        expected: "a share of contended CPU from 1 to 10000; the default is 100",
        parse: (text) => parseWhole(text, 1, 10_000),
        zeroIsNone: true,
      },
    },
  }),
  /** In place of a weight: less than any weight. */
  "cpu.idle": cgroupLimit({
    field: "cpuIdle",
    v1: { controller: "cpu", inherited: false },
    v2: { controller: "cpu", inherited: false, threaded: true, untouched: "0" },
    compare: IDLE,
    // CPUWeight=idle is new in systemd 252, and an older one would refuse the whole scope.
    systemd: () => [["CPUWeight", "t", 1]],
    sample: () => 1,
    keys: {
      cpu_idle: {
        placeholder: "0|1",
        help: "1 = run only on CPU time that nothing else wants, in place of a weight",
        expected: "1 for CPU time that nothing else wants, 0 for a share as usual",
        parse: (text) => parseWhole(text, 1, 1),
        zeroIsNone: true,
        replaces: "cpu_weight",
      },
    },
  }),
  /** Soft: the kernel reclaims and slows above it, and never kills for it. */
  "memory.high": cgroupLimit({
    field: "memoryHighBytes",
    v1: { controller: "memory", inherited: true },
    v2: { controller: "memory", inherited: true, threaded: false, untouched: "max" },
    compare: AMOUNT,
    systemd: systemd.numberProperty("MemoryHigh"),
    sample: () => 64 * MEBIBYTE,
    keys: {
      memory_limit: {
        placeholder: "size",
        help: "reclaim memory and slow the job above this size, never kill; in MiB, or 2GiB; 0 = no limit",
        expected: "a soft limit: a number of MiB, or a size such as 2GiB",
        parse: (text) => parseMemory(text, MEBIBYTE),
        zeroIsNone: true,
      },
    },
  }),
  /** Hard: the kernel may OOM-kill inside the workload at it. */
  "memory.max": cgroupLimit({
    field: "memoryMaxBytes",
    v1: { controller: "memory", inherited: true },
    v2: { controller: "memory", inherited: true, threaded: false, untouched: "max" },
    compare: AMOUNT,
    systemd: systemd.numberProperty("MemoryMax"),
    sample: () => 64 * MEBIBYTE,
    keys: {
      memory_max: {
        placeholder: "size",
        help: "limit memory; the kernel may kill inside the job at this size; in bytes, or 2GiB; 0 = no limit",
        expected: "a hard limit: a size such as 2GiB, or a number of bytes",
        parse: (text) => parseMemory(text, 1),
        zeroIsNone: true,
      },
    },
  }),
  "io.max": cgroupLimit({
    field: "ioMax",
    // v1 throttling considers a process's own cgroup alone, never the ones above it.
    v1: { controller: "blkio", inherited: false },
    v2: { controller: "io", inherited: true, threaded: false, untouched: "" },
    compare: DEVICE_RATES,
    perDevice: true,
    format: (ioMax) => ioMax.map(grammar.formatIoMax).join(", "),
    systemd: systemd.rateProperties,
    sample: (disk) => (disk === undefined ? undefined : [{ device: disk, rbps: MEBIBYTE }]),
    keys: {
      io_max: {
        placeholder: "device rate",
        help: 'limit disk rates, e.g. "8:0 rbps=50MB/s wiops=500" or a path for the disk; repeatable',
        expected: 'a device (8:0, or a path on it) with rates: "8:0 rbps=50MB/s wiops=500"',
        parse: (text) => [grammar.parseIoMax(text)],
      },
    },
  }),
  /** Acts on disks with the scheduler BFQ or with io.cost only: see ioWeight.ts. */
  "io.weight": cgroupLimit({
    field: "ioWeight",
    v1: { controller: "blkio", inherited: false },
    v2: { controller: "io", inherited: false, threaded: false, untouched: "default 100" },
    compare: DISK_WEIGHT,
    systemd: systemd.numberProperty("IOWeight"),
    // `doctor` has a check of its own, because no disk of most machines has weights.
    sample: () => undefined,
    keys: {
      io_weight: {
        placeholder: "weight",
        help: "set the share of contended disks, 1-10000; the default is 100",
        expected: "a share of contended disks from 1 to 10000; the default is 100",
        parse: (text) => parseWhole(text, 1, 10_000),
        zeroIsNone: true,
      },
    },
  }),
  "pids.max": cgroupLimit({
    field: "pidsMax",
    v1: { controller: "pids", inherited: true },
    v2: { controller: "pids", inherited: true, threaded: true, untouched: "max" },
    compare: AMOUNT,
    systemd: systemd.numberProperty("TasksMax"),
    sample: () => 100,
    keys: {
      pids_max: {
        placeholder: "n",
        help: "limit the number of processes and threads",
        expected: `a number of processes and threads from 1 to ${MAX_PIDS}`,
        parse: (text) => parseWhole(text, 1, MAX_PIDS),
      },
    },
  }),
  "cpuset.cpus": cgroupLimit({
    field: "cpus",
    v1: { controller: "cpuset", inherited: true },
    v2: { controller: "cpuset", inherited: true, threaded: true, untouched: "" },
    compare: CPU_LIST,
    systemd: systemd.cpuMaskProperty,
    sample: (_disk, cpu) => cpu,
    keys: {
      cpus: {
        placeholder: "list",
        help: "run on these CPUs only, e.g. 0-3,8",
        expected: "a list of CPU numbers, such as 0-3,8",
        parse: grammar.parseCpus,
        mistakeIn: grammar.mistakeInCpus,
      },
    },
  }),
};

const TASK_ROWS = {
  nice: taskLimit({
    field: "nice",
    attributeOf: "thread",
    keys: {
      nice: {
        placeholder: "n",
        help: "set the nice value, -20 (favoured) to 19",
        expected: "a whole number from -20 (favoured) to 19",
        parse: (text) => parseWhole(text, -20, 19),
      },
    },
  }),
  ionice: taskLimit({
    field: "ionice",
    attributeOf: "thread",
    format: grammar.formatIonice,
    keys: {
      ionice: {
        placeholder: "class",
        help: "set the disk priority: realtime:0-7, best-effort:0-7 or idle",
        expected: "a disk priority: idle, best-effort:0 to best-effort:7, or realtime:0 to realtime:7",
        parse: grammar.parseIonice,
      },
    },
  }),
  oom_score_adj: taskLimit({
    field: "oomScoreAdj",
    attributeOf: "process",
    keys: {
      oom_score_adj: {
        placeholder: "n",
        help: "set the OOM score adjustment, -1000 (never killed) to 1000",
        expected: "a whole number from -1000 (never killed) to 1000",
        parse: (text) => parseWhole(text, -1000, 1000),
      },
    },
  }),
};

export type CgroupLimitName = keyof typeof CGROUP_ROWS;
export type TaskLimitName = keyof typeof TASK_ROWS;
export type LimitName = CgroupLimitName | TaskLimitName;

type Rows = typeof CGROUP_ROWS & typeof TASK_ROWS;
export type FieldOf<N extends LimitName> = Rows[N]["field"];
export type ValueOf<N extends LimitName> = Rows[N] extends Row<string, infer T> ? T : never;

/** Rows of any field and value, for code that treats all limits alike. */
type CgroupLimit = CgroupRow<FieldOf<LimitName>, ValueOf<LimitName>>;
type TaskLimit = TaskRow<FieldOf<LimitName>, ValueOf<LimitName>>;
export type Limit = CgroupLimit | TaskLimit;

export const LIMITS: Record<CgroupLimitName, CgroupLimit> & Record<TaskLimitName, TaskLimit> = {
  ...CGROUP_ROWS,
  ...TASK_ROWS,
};

/** The limits that are cgroup files, in the order in which they are applied. */
export const CGROUP_LIMITS = Object.keys(CGROUP_ROWS) as CgroupLimitName[];
export const TASK_LIMITS = Object.keys(TASK_ROWS) as TaskLimitName[];
export const LIMIT_NAMES: LimitName[] = [...CGROUP_LIMITS, ...TASK_LIMITS];

/** Returns whether a limit is a weight, which shares what is contended instead of bounding it. */
export function isWeight(name: CgroupLimitName): boolean {
  return LIMITS[name].compare.isAtMost !== undefined;
}

export function isInherited(name: CgroupLimitName, version: 1 | 2): boolean {
  return LIMITS[name][`v${version}`].inherited;
}

/** Returns whether a v2 controller is threaded: usable in a cgroup of single threads too. */
export function isThreaded(controller: string): boolean {
  return CGROUP_LIMITS.some((name) => LIMITS[name].v2.controller === controller && LIMITS[name].v2.threaded);
}
