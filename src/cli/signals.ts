import { installSignalFilter } from "../sys/seccomp.ts";
import { warn } from "./output/messages.ts";

/** What ends an observer, and never a workload. */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Settles with the name of the first of these signals that comes. From the call on they no longer end the process.
 * With `onHangUp`, SIGHUP asks for that instead, as daemons take it.
 */
export function firstSignal(onHangUp?: () => void): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ENDING_SIGNALS) {
      const isRequest = signal === "SIGHUP" && onHangUp !== undefined;
      process.on(signal, isRequest ? onHangUp : () => resolve(signal));
    }
  });
}

/**
 * From here on this process cannot signal, trace or inspect another one, even if it wanted to. Not for a process
 * that still has to spawn: its children would inherit the filter.
 */
export function giveUpSignalsAloud(): void {
  const given = installSignalFilter();
  if (given.outcome === "applied") return;
  warn(`cannot give up the power to send signals (${given.reason}); none is sent all the same`);
}
