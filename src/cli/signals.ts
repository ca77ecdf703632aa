/** What ends an observer, and never a workload. */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Settles with the name of the first of these signals that comes. From the call on they no longer end the process. */
export function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ENDING_SIGNALS) process.on(signal, () => resolve(signal));
  });
}
