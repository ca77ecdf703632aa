import { Budget } from "./budget.ts";
import { formatFor, type MetricFamily, renderMetrics } from "./exposition.ts";
import { BUSY, problemResponse, STARTING } from "./problem.ts";
import { respondCompressed } from "./response.ts";
import type { Routes } from "./routes.ts";

/** Makes the metrics of a daemon, and runs that with the priority of an ordinary program. */
export interface MetricSource {
  families(): MetricFamily[];
  inBackground<T>(work: () => T): T;
}

/** `source` returns `undefined` while the daemon starts. Nothing is measured for a request. */
export function metricsRoutes(source: () => MetricSource | undefined, budget = new Budget()): Routes {
  return {
    "/metrics": (request) => {
      const shown = source();
      if (shown === undefined) return problemResponse(request, STARTING);
      const respond = () => {
        const format = formatFor(request.headers.get("accept"));
        return respondCompressed(request, renderMetrics(shown.families(), format), format.contentType);
      };
      return budget.spend(() => shown.inBackground(respond)) ?? problemResponse(request, BUSY);
    },
  };
}
