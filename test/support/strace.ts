import { lacksCommand } from "./sandbox.ts";

/** The calls by which a process could disturb another one. */
export const SIGNALLING = [
  ...["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"],
  ...["ptrace", "process_vm_readv", "process_vm_writev"],
];

/** The position of the signal in the arguments of each call. */
const SIGNAL_POSITIONS: Record<string, number> = {
  kill: 1,
  tkill: 1,
  tgkill: 2,
  rt_sigqueueinfo: 1,
  rt_tgsigqueueinfo: 2,
  pidfd_send_signal: 1,
};
/** PID_MAX_LIMIT: no kernel gives a process this pid or a higher one. */
const HIGHEST_PID = 2 ** 22;

// 4711  tgkill(4711, 4713, SIGRT_6) = 0
// 4711  kill(4026, 0)               = 0
// 4711  ptrace(PTRACE_ATTACH, 1073741824) = -1 EPERM (Operation not permitted)
/**
 * Returns whether a line of strace is a call that disturbs another process: not one with signal 0, not one to a thread of
 * the processes `own`, and not one to a pid that cannot exist, with which ffrtmp verifies that it cannot send signals.
 */
export function isForbidden(line: string, own: (pid: number) => boolean): boolean {
  const match = /^\d+\s+(\w+)\(([^)]*)/.exec(line);
  if (!match || !SIGNALLING.includes(match[1] as string)) return false;
  const call = match[1] as string;
  // -y shows what a descriptor or a pid is: 4711<ffrtmp>
  const words = (match[2] as string).split(", ").map((word) => word.replace(/<.*>$/, ""));
  const target = Number(words[call === "ptrace" ? 1 : 0]);
  if (target > HIGHEST_PID || (call === "pidfd_send_signal" && target === -1)) return false;
  const position = SIGNAL_POSITIONS[call];
  if (position !== undefined && words[position] === "0") return false;
  // Bun suspends its own threads with it.
  return !(call === "tgkill" && own(target));
}

export function lacksTracing(): string | undefined {
  const missing = lacksCommand("strace");
  if (missing !== undefined) return missing;
  const { exitCode } = Bun.spawnSync(["strace", "-o", "/dev/null", "true"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return exitCode === 0 ? undefined : "strace may not trace here";
}
