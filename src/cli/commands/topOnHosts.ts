import { parseHosts } from "../remote/hosts.ts";
import { RemoteSource } from "../top/remote/remoteSource.ts";
import { showTop, type TopFlags } from "./top.ts";

/** A machine did not answer, and the output lacks its jobs. */
const INCOMPLETE = 1;

/** Shows the jobs of other machines on one screen. With `--once`, a machine that does not answer makes the exit code 1. */
export async function topOnHosts(flags: TopFlags & { on: string }): Promise<number> {
  const { on, interval: intervalMs, probe, statePath } = flags;
  const source = new RemoteSource(parseHosts(on), { intervalMs, probes: probe !== false, statePath });
  try {
    const shown = await showTop(source, flags);
    const isIncomplete = typeof shown === "object" && shown.hosts?.some(({ trouble }) => trouble !== null);
    if (typeof shown === "number") return shown;
    return isIncomplete ? INCOMPLETE : 0;
  } finally {
    source.close();
  }
}
