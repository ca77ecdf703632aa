import { type Host, readProcFile } from "../linux/host.ts";
import { memoryIn } from "../linux/memory.ts";
import { visible } from "../linux/proc/table.ts";

/** The CPUs of the whole machine at one time. */
export interface CpuReading {
  readonly cpuCount: number;
  /**
   * CPU time of all CPUs since the boot, in ticks: busy, and all. Source: the first line of /proc/stat. `null`: unknown, as
   * where procfs hides it.
   */
  readonly cpuTicks: { readonly busy: number; readonly all: number } | null;
}

/** The use of the whole machine at one time. `null` is unknown. */
export interface MachineReading extends CpuReading {
  /** Memory that new programs cannot get without swapping: MemTotal − MemAvailable of /proc/meminfo. */
  readonly memoryUsedBytes: number | null;
  readonly memoryTotalBytes: number | null;
  /** The part of the last 10 s in which a thread waited for the resource: /proc/pressure, `some avg10`. */
  readonly cpuWaitPercent: number | null;
  readonly memoryWaitPercent: number | null;
}

/** Reads one file, where `readMachine` reads four. `only`: the numbers of the CPUs that count; absent: all. */
export function readCpus(host: Host, only?: readonly number[]): CpuReading {
  const stat = readVisible(host, "stat");
  const all = stat.match(/^cpu\d/gm)?.length ?? 1;
  if (only === undefined || only.length >= all) return { cpuCount: all, cpuTicks: cpuTicksOf(stat, "cpu") };
  let sum: CpuReading["cpuTicks"] = { busy: 0, all: 0 };
  for (const cpu of only) {
    const ticks = cpuTicksOf(stat, `cpu${cpu}`);
    sum = sum && ticks && { busy: sum.busy + ticks.busy, all: sum.all + ticks.all };
  }
  return { cpuCount: only.length, cpuTicks: sum };
}

export function readMachine(host: Host): MachineReading {
  const read = (path: string): string => readVisible(host, path);
  const memory = read("meminfo");
  const total = memoryIn(memory, "MemTotal") ?? null;
  const available = memoryIn(memory, "MemAvailable") ?? null;
  return {
    ...readCpus(host),
    memoryTotalBytes: total,
    memoryUsedBytes: total === null || available === null ? null : total - available,
    cpuWaitPercent: waitPercent(read("pressure/cpu")),
    memoryWaitPercent: waitPercent(read("pressure/memory")),
  };
}

/** The parts of the last 10 s in which threads of the machine waited, 0 to 100: /proc/pressure, `avg10`. `null` is unknown. */
export interface MachinePressure {
  /** At least one thread waited. */
  readonly cpuSomePercent: number | null;
  readonly memorySomePercent: number | null;
  readonly ioSomePercent: number | null;
  /** All threads that could have run waited. */
  readonly memoryFullPercent: number | null;
  readonly ioFullPercent: number | null;
}

export function readMachinePressure(host: Host): MachinePressure {
  const [cpu, memory, io] = ["cpu", "memory", "io"].map((name) => readVisible(host, `pressure/${name}`)) as [
    string,
    string,
    string,
  ];
  return {
    cpuSomePercent: waitPercent(cpu),
    memorySomePercent: waitPercent(memory),
    ioSomePercent: waitPercent(io),
    memoryFullPercent: waitPercent(memory, "full"),
    ioFullPercent: waitPercent(io, "full"),
  };
}

/** Returns the busy part of all CPUs between two readings, 0 to 100. `null`: unknown, or no time has passed. */
export function busyPercentBetween(before: CpuReading, now: CpuReading): number | null {
  if (before.cpuTicks === null || now.cpuTicks === null) return null;
  const all = now.cpuTicks.all - before.cpuTicks.all;
  return all <= 0 ? null : (100 * (now.cpuTicks.busy - before.cpuTicks.busy)) / all;
}

// cpu  user nice system idle iowait irq softirq steal guest guest_nice
function cpuTicksOf(stat: string, name: string): CpuReading["cpuTicks"] {
  const line = new RegExp(`^${name} +(.+)$`, "m").exec(stat)?.[1];
  if (line === undefined) return null;
  // The guest times are part of user and nice.
  const ticks = line.split(" ").slice(0, 8).map(Number);
  const [, , , idle = 0, iowait = 0] = ticks;
  const all = ticks.reduce((sum, each) => sum + each, 0);
  return { busy: all - idle - iowait, all };
}

function readVisible(host: Host, path: string): string {
  const text = visible(() => readProcFile(host, path));
  return text === undefined || text === "gone" ? "" : text;
}

// some avg10=1.23 avg60=0.50 avg300=0.10 total=123456
// full avg10=0.40 avg60=0.10 avg300=0.00 total=23456
function waitPercent(text: string, kind: "some" | "full" = "some"): number | null {
  const digits = new RegExp(`^${kind} avg10=([\\d.]+)`, "m").exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}
