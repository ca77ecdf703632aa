import { dirname } from "node:path";
import type { DaemonContext } from "../../src/daemon/daemonContext.ts";
import { DaemonScheduling } from "../../src/daemon/daemonScheduling.ts";
import { DaemonDocuments } from "../../src/daemon/documents.ts";
import { DaemonEvents } from "../../src/daemon/events.ts";
import { NO_METER } from "../../src/daemon/meter/meterClient.ts";
import { createContext } from "../../src/jobs/context.ts";
import type { ViewedJob } from "../../src/json/jobView.ts";
import type { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import { realHost } from "../../src/linux/host.ts";
import type { StoredHistory } from "../../src/metrics/history/encoding.ts";
import type { RingName } from "../../src/metrics/history/jobHistory.ts";
import { type Policy, policyFromFlags } from "../../src/policy/policy.ts";
import { useLedgers } from "./ledgers.ts";

export interface OpenedDocuments {
  documents: DaemonDocuments;
  ledger: Ledger;
  bus: DaemonEvents;
  /** The running jobs that the daemon observes; a test adds its own. */
  views: ViewedJob[];
  /** Lets time pass for the daemon. */
  advance(ms: number): void;
  /** The histories of all of them. */
  rings: Partial<Record<RingName, StoredHistory>>;
  /** The policy in force, and the state of its file. */
  store: Pick<DaemonContext["store"], "path" | "policy" | "faults" | "warnings" | "loadedMs">;
}

/** Returns the documents of a daemon with a real ledger, whose jobs and policy a test chooses. */
export function useDocuments(): () => OpenedDocuments {
  const { open } = useLedgers();
  return () => {
    const { ledger, path } = open();
    const bus = new DaemonEvents();
    const views: ViewedJob[] = [];
    const rings = {};
    const policy: Policy = policyFromFlags(["ffmpeg"], {});
    const store = { path: undefined, policy, faults: [], warnings: [], loadedMs: 0 };
    let bootMs = 1_000_000;
    const host = { ...realHost(), bootNow: () => bootMs };
    const context = {
      ...createContext({ host, ledger, state: locateState(dirname(path), {}), warn() {} }),
      ...{
        bus,
        meter: NO_METER,
        scheduling: new DaemonScheduling("unchanged"),
        store: store as unknown as DaemonContext["store"],
      },
      options: { scanIntervalMs: 5000 } as DaemonContext["options"],
    };
    const tracker = { views: () => views, ringsOf: () => rings, keepFresh() {} };
    const status = () => ({ event_source: "polling" as const, events_dropped: null, problems: [] });
    const advance = (ms: number) => {
      bootMs += ms;
    };
    const documents = new DaemonDocuments(context, tracker, status);
    return { documents, ledger, bus, views, rings, store, advance };
  };
}
