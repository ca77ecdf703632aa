// The signals that this process receives.

/**
 * Settles with the name of the first signal that stops an observer, never a workload. From the call on, these
 * signals do not end the process. With `onHangUp`, SIGHUP calls that function instead, as usual for daemons.
 */
export function firstSignal(onHangUp?: () => void): Promise<string> {
  return new Promise((resolve) => onStopSignal(resolve, onHangUp));
}

/** Does the same with a function that is called with the name of each of these signals. */
export function onStopSignal(act: (signal: string) => void, onHangUp?: () => void): void {
  process.on("SIGINT", () => act("SIGINT"));
  process.on("SIGTERM", () => act("SIGTERM"));
  process.on("SIGHUP", onHangUp ?? (() => act("SIGHUP")));
}

/** After this process continued, an end that is observed within this time may have been at any time since its stop. */
export const CONTINUED_MS = 100;
/** The runtime reports a signal and the end of a child in any order, one loop apart. */
const SIGNAL_DELAY_MS = 2;

/**
 * Notices from now on when this process is stopped, as by Ctrl-Z, and continues. Returns a function to call at an end that
 * was just observed, which resolves to true when the end may have been during the stop.
 */
export function watchContinuations({ bootNow }: { bootNow(): number }): () => Promise<boolean> {
  let continuedMs = Number.NEGATIVE_INFINITY;
  process.on("SIGCONT", () => {
    continuedMs = bootNow();
  });
  return async () => {
    await Bun.sleep(SIGNAL_DELAY_MS);
    return bootNow() - continuedMs < CONTINUED_MS;
  };
}
