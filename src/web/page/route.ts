import { Shared } from "./shared.ts";

export const VIEWS = ["jobs", "history", "violations", "limits", "policy"] as const;
export type View = (typeof VIEWS)[number];

/** The part of the page that is shown. `jobId`: the view of one job. */
export interface Route {
  readonly view: View;
  readonly jobId?: string;
}

export const route = new Shared<Route>({ view: "jobs" });

export const pathOf = (view: View): string => `#/${view}`;
export const jobPath = (jobId: string): string => `#/jobs/${encodeURIComponent(jobId)}`;

/** Follows the fragment of the address, so that the browser's own way back works and a view can be a bookmark. */
export function followAddress(): void {
  const read = () => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  read();
}

// #/jobs/channel-7, #/history
/** Returns the view of an address. One that does not exist is that of the jobs. */
export function parseRoute(hash: string): Route {
  const [name, jobId] = hash.replace(/^#\//, "").split("/");
  const view = VIEWS.find((known) => known === name) ?? "jobs";
  if (view !== "jobs" || !jobId) return { view };
  try {
    return { view, jobId: decodeURIComponent(jobId) };
  } catch {
    return { view };
  }
}
