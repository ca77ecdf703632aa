import { formatFor, type MetricFamily, renderMetrics } from "./exposition.ts";
import { problemResponse, STARTING } from "./problem.ts";
import { respondCompressed } from "./response.ts";
import type { Routes } from "./routes.ts";

/** `families` returns `undefined` while the daemon starts. Nothing is measured for a request. */
export function metricsRoutes(families: () => MetricFamily[] | undefined): Routes {
  return {
    "/metrics": (request) => {
      const shown = families();
      if (shown === undefined) return problemResponse(request, STARTING);
      const format = formatFor(request.headers.get("accept"));
      return respondCompressed(request, renderMetrics(shown, format), format.contentType);
    },
  };
}
