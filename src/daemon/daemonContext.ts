import type { Context } from "../jobs/context.ts";
import type { Retention } from "../ledger/retention.ts";
import type { Placement } from "../linux/cgroup/placement.ts";
import type { EventChoice } from "../linux/events/bestEvents.ts";
import type { ExecFilter, NoExecFilter } from "../linux/events/execFilter.ts";
import type { SlowReader } from "../linux/proc/slowFacts/slowReader.ts";
import type { FactReader } from "../policy/procFacts.ts";
import type { DaemonScheduling } from "./daemonScheduling.ts";
import type { EndHook } from "./endHook.ts";
import type { DaemonEvents } from "./events.ts";
import type { Meter } from "./meter/meterClient.ts";
import type { PolicyStore } from "./policyStore.ts";
import type { PostponedWork } from "./postponedWork.ts";
import type { ServiceManager } from "./serviceManager.ts";

export interface DaemonContext extends Context {
  options: {
    /** Interval between full process scans; `undefined`: the policy's, or 5 s. */
    scanIntervalMs: number | undefined;
    /** `bufferBytes`: the size of the buffer for process events that wait to be read. */
    events: { choice: EventChoice; bufferBytes: number; execFilter: ExecFilter | NoExecFilter };
    placement: Placement;
    /** This daemon has locked the state directory, and answers on its control socket. */
    answersRequests: boolean;
    /** `undefined`: the policy's, or the default. */
    retention: { [F in keyof Retention]: Retention[F] | undefined };
  };
  store: PolicyStore;
  reader: FactReader;
  slowReader: SlowReader;
  service: ServiceManager;
  bus: DaemonEvents;
  endHook: EndHook;
  meter: Meter;
  scheduling: DaemonScheduling;
  postponed: PostponedWork;
}

const DEFAULT_SCAN_INTERVAL_MS = 5000;

export function scanIntervalOf({ options, store }: Pick<DaemonContext, "options" | "store">): number {
  return options.scanIntervalMs ?? store.policy.scanIntervalMs ?? DEFAULT_SCAN_INTERVAL_MS;
}
