import { AMOUNT, type Comparison, CPU_LIST, CPU_TIME, DEVICE_RATES, WEIGHT } from "./compare.ts";
import {
  formatCpuMax,
  formatIoMax,
  formatIonice,
  parseCpuMax,
  parseCpuQuota,
  parseCpus,
  parseIoMax,
  parseIonice,
} from "./grammar.ts";
import {
  cpuMaskProperty,
  numberProperty,
  quotaProperties,
  rateProperties,
  type SystemdProperty,
} from "./systemdProperties.ts";
import { MEBIBYTE, parseMemory, parseWhole } from "./units.ts";

/**
 * The table of all limits. Command-line options, the policy schema, manual pages, `doctor`, the comparison of limits
 * and the properties of systemd scopes are derived from it. A new limit is a row here and its controller's code.
 */

/** One way to ask for a limit: a key of the policy file, and the option of the same name with `-` for `_`. */
export interface LimitKeyInfo<T> {
  /** The option's placeholder, which also selects the notations that help texts explain. */
  placeholder: string;
  /** A help line. */
  help: string;
  /** Describes a valid value, for faults, editors and the manual. */
  expected: string;
  /** Throws ValueFault. */
  parse(text: string): T;
  /** In a policy file, 0 asks for nothing: older policies are written so. */
  zeroIsNone?: true;
}

interface Row<F extends string, K extends string, T> {
  /** The field of `Limits`. */
  field: F;
  keys: Record<K, LimitKeyInfo<NoInfer<T>>>;
  format(value: T): string;
  /** The value is a list with one entry for each device, and its keys may be given several times. */
  perDevice?: true;
}

/** A limit that is a file of a cgroup. */
interface CgroupRow<F extends string, K extends string, T> extends Row<F, K, T> {
  /** The controller by cgroup version. */
  controller: Record<1 | 2, string>;
  /** v2: usable in a threaded cgroup. */
  threaded: boolean;
  /** The cgroup versions on which the limit of a cgroup also restricts the cgroups below it. */
  inherited: readonly (1 | 2)[];
  /** v2: the text of an untouched file. Source: "Interface Files" of cgroup-v2.rst. */
  kernelDefault: string;
  compare: Comparison<T>;
  systemd(value: T): SystemdProperty[];
  /** Returns a value that `doctor` can write; `undefined` where the machine offers none. */
  sample(machine: SampleMachine): T | undefined;
}

/** A limit that is an attribute of each thread or process. */
interface TaskRow<F extends string, K extends string, T> extends Row<F, K, T> {
  attributeOf: "thread" | "process";
}

export interface SampleMachine {
  /** `major:minor` of a whole disk. */
  disk: string | undefined;
  /** The number of a CPU that this process may run on. */
  cpu: string;
}

/** Checks a row, and keeps its names as literal types. */
function cgroupLimit<F extends string, K extends string, T>(row: CgroupRow<F, K, T>): CgroupRow<F, K, T> {
  return row;
}

function taskLimit<F extends string, K extends string, T>(row: TaskRow<F, K, T>): TaskRow<F, K, T> {
  return row;
}

const MAX_PIDS = 4_194_304;

/** In the order in which limits are applied. The names are those of cgroup v2. */
const CGROUP_ROWS = {
  "cpu.max": cgroupLimit({
    field: "cpuMax",
    controller: { 1: "cpu", 2: "cpu" },
    threaded: true,
    inherited: [1, 2],
    kernelDefault: "max 100000",
    compare: CPU_TIME,
    format: formatCpuMax,
    systemd: quotaProperties,
    sample: () => ({ quotaUsec: 50_000, periodUsec: 100_000 }),
    keys: {
      cpu_quota: {
        placeholder: "percent",
        help: "limit CPU time; 100 = one core",
        expected: 'CPU time: percent of a core (150, "150%") or "1.5 cores"',
        parse: parseCpuQuota,
        zeroIsNone: true,
      },
      cpu_max: {
        placeholder: "quota period",
        help: 'limit CPU time per period in µs, e.g. "50000 100000"',
        expected: 'CPU time per period in µs: "50000 100000"',
        parse: parseCpuMax,
      },
    },
  }),
  "cpu.weight": cgroupLimit({
    field: "cpuWeight",
    controller: { 1: "cpu", 2: "cpu" },
    threaded: true,
    inherited: [],
    kernelDefault: "100",
    compare: WEIGHT,
    format: String,
    systemd: numberProperty("CPUWeight"),
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
  /** Soft: the kernel reclaims and slows above it, and never kills for it. */
  "memory.high": cgroupLimit({
    field: "memoryHighBytes",
    controller: { 1: "memory", 2: "memory" },
    threaded: false,
    inherited: [1, 2],
    kernelDefault: "max",
    compare: AMOUNT,
    format: String,
    systemd: numberProperty("MemoryHigh"),
    sample: () => 64 * MEBIBYTE,
    keys: {
      memory_limit: {
        placeholder: "size",
        help: "reclaim memory and slow the job above this size, never kill; in MiB, or 2GiB",
        expected: "a soft limit: a number of MiB, or a size such as 2GiB",
        parse: (text) => parseMemory(text, MEBIBYTE),
        zeroIsNone: true,
      },
    },
  }),
  /** Hard: the kernel may OOM-kill inside the workload at it. */
  "memory.max": cgroupLimit({
    field: "memoryMaxBytes",
    controller: { 1: "memory", 2: "memory" },
    threaded: false,
    inherited: [1, 2],
    kernelDefault: "max",
    compare: AMOUNT,
    format: String,
    systemd: numberProperty("MemoryMax"),
    sample: () => 64 * MEBIBYTE,
    keys: {
      memory_max: {
        placeholder: "size",
        help: "limit memory; the kernel may kill inside the job at this size; in bytes, or 2GiB",
        expected: "a hard limit: a size such as 2GiB, or a number of bytes",
        parse: (text) => parseMemory(text, 1),
      },
    },
  }),
  "io.max": cgroupLimit({
    field: "ioMax",
    controller: { 1: "blkio", 2: "io" },
    threaded: false,
    // v1 throttling considers a process's own cgroup alone, never the ones above it.
    inherited: [2],
    kernelDefault: "",
    compare: DEVICE_RATES,
    perDevice: true,
    format: (ioMax) => ioMax.map(formatIoMax).join(", "),
    systemd: rateProperties,
    sample: ({ disk }) => (disk === undefined ? undefined : [{ device: disk, rbps: MEBIBYTE }]),
    keys: {
      io_max: {
        placeholder: "device rate",
        help: 'limit disk rates, e.g. "8:0 rbps=50MB/s wiops=500" or a path for the disk; repeatable',
        expected: 'a device (8:0, or a path on it) with rates: "8:0 rbps=50MB/s wiops=500"',
        parse: (text) => [parseIoMax(text)],
      },
    },
  }),
  "pids.max": cgroupLimit({
    field: "pidsMax",
    controller: { 1: "pids", 2: "pids" },
    threaded: true,
    inherited: [1, 2],
    kernelDefault: "max",
    compare: AMOUNT,
    format: String,
    systemd: numberProperty("TasksMax"),
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
    controller: { 1: "cpuset", 2: "cpuset" },
    threaded: true,
    inherited: [1, 2],
    kernelDefault: "",
    compare: CPU_LIST,
    format: String,
    systemd: cpuMaskProperty,
    sample: ({ cpu }) => cpu,
    keys: {
      cpus: {
        placeholder: "list",
        help: "run on these CPUs only, e.g. 0-3,8",
        expected: "a list of CPU numbers, such as 0-3,8",
        parse: parseCpus,
      },
    },
  }),
};

const TASK_ROWS = {
  nice: taskLimit({
    field: "nice",
    attributeOf: "thread",
    format: (value: number) => String(value),
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
    format: formatIonice,
    keys: {
      ionice: {
        placeholder: "class",
        help: "set the disk priority: realtime:0-7, best-effort:0-7 or idle",
        expected: "a disk priority: idle, best-effort:0 to best-effort:7, or realtime:0 to realtime:7",
        parse: parseIonice,
      },
    },
  }),
  oom_score_adj: taskLimit({
    field: "oomScoreAdj",
    attributeOf: "process",
    format: (value: number) => String(value),
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
export type ValueOf<N extends LimitName> = Parameters<Rows[N]["format"]>[0];
export type LimitKey = { [N in LimitName]: keyof Rows[N]["keys"] }[LimitName];

/** Rows without their literal types, for code that treats all limits alike. */
export type CgroupLimit = CgroupRow<FieldOf<LimitName>, string, ValueOf<LimitName>>;
export type TaskLimit = TaskRow<FieldOf<LimitName>, string, ValueOf<LimitName>>;

export const LIMITS: Record<CgroupLimitName, CgroupLimit> & Record<TaskLimitName, TaskLimit> = {
  ...CGROUP_ROWS,
  ...TASK_ROWS,
};

/** The limits that are cgroup files, in the order in which they are applied. */
export const CGROUP_LIMITS = Object.keys(CGROUP_ROWS) as CgroupLimitName[];
export const LIMIT_NAMES = Object.keys(LIMITS) as LimitName[];

/** Returns whether a limit is a weight, which shares what is contended instead of bounding it. */
export function isWeight(name: CgroupLimitName): boolean {
  return LIMITS[name].compare.isAtMost !== undefined;
}

/** Returns whether a controller of v2 is a threaded one: usable in a cgroup of single threads too. */
export function isThreaded(controller: string): boolean {
  return CGROUP_LIMITS.some((name) => LIMITS[name].controller[2] === controller && LIMITS[name].threaded);
}
