import { parseDigits } from "../../sys/digits.ts";
import { type Host, readProcFile } from "../host.ts";

/** The fields of /proc/PID/stat that are used. Source: proc_pid_stat(5). */
export interface ProcStat {
  pid: number;
  /** At most 15 bytes. The process may write any of them, also spaces, newlines and parentheses. */
  comm: string;
  /** One letter: R, S, D, Z (ended, not yet reaped), X (being removed), … */
  state: string;
  ppid: number;
  session: number;
  isKernelThread: boolean;
  /** The first thread has started to exit and runs no more instructions of its program. */
  isExiting: boolean;
  /** Nice value of the first thread: −20 (highest priority) to 19. */
  nice: number;
  /** Number of threads. An ended first thread counts until all have ended. */
  threads: number;
  /** Start time in clock ticks since boot. */
  startTicks: number;
}

// include/linux/sched.h
const PF_EXITING = 0x00000004;
const PF_KTHREAD = 0x00200000;
/** USER_HZ is 100 on all supported architectures. */
const TICKS_PER_SECOND = 100;

// 4026 (ffmpeg) S 1 4026 4026 0 -1 4194560 …   ← comm may contain spaces and ')': split after the last ')'
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 2 || text[open - 1] !== " " || text[0] === "0") return undefined;
  const pid = parseDigits(text.slice(0, open - 1));
  // The fields from the third on, between single spaces. The 23rd shows that the 22nd is complete.
  const words = text.slice(close + 1).split(" ", 22);
  const word = (field: number): string => words[field - 2] as string;
  if (words.length < 22 || words[0] !== "" || word(3).length !== 1) return undefined;
  const ppid = parseDigits(word(4));
  // -1 while the process is being removed.
  const session = parseInteger(word(6));
  const flags = parseDigits(word(9));
  const nice = parseInteger(word(19));
  const threads = parseDigits(word(20));
  const startTicks = parseDigits(word(22));
  if (pid === undefined || ppid === undefined || session === undefined || flags === undefined)
    return undefined;
  if (nice === undefined || threads === undefined || startTicks === undefined) return undefined;
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(startTicks)) return undefined;
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: word(3),
    ppid,
    session,
    isExiting: (flags & PF_EXITING) !== 0,
    isKernelThread: (flags & PF_KTHREAD) !== 0,
    nice,
    threads,
    startTicks,
  };
}

function parseInteger(word: string): number | undefined {
  if (!word.startsWith("-")) return parseDigits(word);
  const size = parseDigits(word.slice(1));
  return size === undefined ? undefined : -size;
}

/** Reads /proc/PID/stat. `"gone"` when there is no such process. */
export function readStat(host: Host, pid: number): ProcStat | "gone" {
  const text = readProcFile(host, `${pid}/stat`);
  return text === "gone" ? "gone" : (parseStat(text) ?? "gone");
}

const PF_FORKNOEXEC = 0x00000040;

/**
 * Returns a text that changes whenever a process executes a program: each execve(2) places the stack and the arguments at
 * other addresses. A reader without the rights of PTRACE_MODE_READ sees only whether it has executed one since its fork.
 */
export function readProgram(host: Host, pid: number): string | "gone" {
  const text = readProcFile(host, `${pid}/stat`);
  if (text === "gone") return "gone";
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const field = (number: number) => fields[number - 3] ?? "";
  const hasExecuted = (Number(field(9)) & PF_FORKNOEXEC) === 0;
  return [hasExecuted, ...[28, 48, 49].map(field)].join(" ");
}

/** Returns whether a process has ended. With other threads, it is shown as a zombie before it has ended. */
export function hasEnded({ state, threads }: ProcStat): boolean {
  return (state === "Z" || state === "X" || state === "x") && threads <= 1;
}

/** Reads the clock ticks since boot: the two decimals of a second in /proc/uptime. NaN where it is hidden. */
export function readUptimeTicks(host: Host): number {
  // 350735.47 234388.90     ← proc_uptime(5)
  return Math.round(Number.parseFloat(readProcFile(host, "uptime")) * TICKS_PER_SECOND);
}

/** Returns CLOCK_BOOTTIME at a start time of /proc/PID/stat, in ms: up to 10 ms before the start. */
export function bootMsOf(startTicks: number): number {
  return (startTicks * 1000) / TICKS_PER_SECOND;
}

/** Returns how long a process has been running, in ms; 0 where /proc/uptime cannot be read. */
export function readAgeMs(host: Host, startTicks: number): number {
  const ageTicks = readUptimeTicks(host) - startTicks;
  return ageTicks > 0 ? (ageTicks * 1000) / TICKS_PER_SECOND : 0;
}
