import type { WatchDaemon } from "../daemon/daemon.ts";
import type { DaemonEvents } from "../daemon/events.ts";
import { Refusal } from "../jobs/errors.ts";
import { apiRoutes } from "./api/apiRoutes.ts";
import { EventStream } from "./api/eventStream.ts";
import { BusyThread } from "./busyThread.ts";
import { DaemonMetrics } from "./daemonMetrics.ts";
import { governorFamilies } from "./governorMetrics.ts";
import { gpuFamilies } from "./gpuMetrics.ts";
import { jobFamilies } from "./jobMetrics.ts";
import { LISTEN_ADDRESS, parseListenAddress } from "./listenAddress.ts";
import { metricsRoutes } from "./metricsRoute.ts";
import { pageRoutes } from "./pageRoutes.ts";
import { startWebServer, type WebOptions, type WebServer } from "./server.ts";

/** Scrapes more often than that get values that are read more often. */
const FREQUENT_SCRAPE_MS = 9500;
/** A failed request is logged at most this often. */
const FAILURE_LOG_INTERVAL_MS = 60_000;

/**
 * Starts to show a daemon over HTTP. Call it before the daemon starts, whose events are counted. Until `daemon` returns it,
 * there are no metrics. Throws a Refusal.
 */
export function openWeb(
  {
    listen: text,
    metricsMaxJobs: maxJobs,
    ...files
  }: Omit<WebOptions, "listen"> & {
    listen: string;
    metricsMaxJobs?: number | undefined;
  },
  bus: DaemonEvents,
  daemon: () => WatchDaemon | undefined,
): WebServer {
  const listen = parseListenAddress(text);
  if (listen === undefined)
    throw new Refusal(`--listen ${text} is not an address`, `expected: ${LISTEN_ADDRESS}`);
  const metrics = new DaemonMetrics(bus, Date.now());
  let scrapedMs = Number.NEGATIVE_INFINITY;
  const families = (running: WatchDaemon) => {
    const intervalMs = performance.now() - scrapedMs;
    scrapedMs = performance.now();
    // Until the next scrape, which can be late.
    if (intervalMs < FREQUENT_SCRAPE_MS) running.keepFresh(2 * intervalMs);
    return [
      ...metrics.families(running.status(), running.jobs()),
      ...jobFamilies(running.uses(), running.endedUses(), maxJobs),
      ...gpuFamilies(running.devices()),
      ...governorFamilies(running.governor(), maxJobs),
    ];
  };
  const metricSource = () => {
    const running = daemon();
    return (
      running && {
        families: () => families(running),
        inBackground: <T>(work: () => T) => running.documents.inBackground(work),
      }
    );
  };
  const documents = () => daemon()?.documents;
  const stream = new EventStream(bus, documents);
  const routes = { ...metricsRoutes(metricSource), ...apiRoutes(documents, stream.answer) };
  let failedMs = Number.NEGATIVE_INFINITY;
  const server = startWebServer({ ...files, listen }, routes, pageRoutes, {
    connectionsEnded: (count) => bus.emit({ kind: "connections-ended", count }),
    requestFailed(route, reason) {
      // A client can repeat a request without end.
      if (performance.now() - failedMs < FAILURE_LOG_INTERVAL_MS) return;
      failedMs = performance.now();
      bus.emit({ kind: "request-failed", route, reason });
    },
  });
  const thread = new BusyThread((ms) => void daemon()?.documents.inBackground(() => Bun.sleep(ms)));
  return {
    ...server,
    stop() {
      thread.stop();
      stream.stop();
      server.stop();
    },
  };
}
