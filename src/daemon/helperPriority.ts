import { setPriority } from "node:os";
import { setOrdinaryScheduling } from "../sys/scheduling.ts";

/** Gives a process beside the daemon the priorities of an ordinary program: those of the daemon are high, and inherited. */
export function setHelperPriority(nice: number): void {
  try {
    // The operator may have started the daemon with a real-time policy, which its helpers inherit.
    setOrdinaryScheduling();
    setPriority(nice);
    const file = "/proc/self/oom_score_adj";
    void Bun.write(file, "0");
  } catch {
    // A sandbox can forbid it.
  }
}
