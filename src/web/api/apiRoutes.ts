import { version } from "../../../package.json";
import type { DaemonDocuments } from "../../daemon/documents.ts";
import type { ApiIndexJson } from "../../json/apiSchemas.ts";
import { parsePlace } from "../../json/pages.ts";
import { Budget } from "../budget.ts";
import { BUSY, type Problem, problemResponse, STARTING } from "../problem.ts";
import { respondCompressed } from "../response.ts";
import type { Handler, Routes } from "../routes.ts";
import { openApiText } from "./openApi.ts";
import { BadQuery, Query } from "./query.ts";

const JSON_TYPE = "application/json";

/** The entries of a page. */
export const PAGE = { max: 100, usual: 50 };
/** The points of each history of a job. */
export const POINTS = { max: 360, usual: 360 };

/** The documents that the API shows. `undefined`: the daemon is starting. */
export type DocumentSource = () => DaemonDocuments | undefined;

export interface ApiRoute {
  readonly path: string;
  readonly summary: string;
  readonly parameters?: readonly string[];
  /** Returns JSON. Throws BadQuery. */
  answer(documents: DaemonDocuments, query: Query, request: Bun.BunRequest): string | Problem;
}

/** The routes whose answer is a document. */
const DOCUMENT_ROUTES: readonly ApiRoute[] = [
  {
    path: "/api/v1/snapshot",
    summary: "everything that is known now",
    answer: (documents) => documents.snapshot(),
  },
  {
    path: "/api/v1/jobs",
    summary: "the running jobs",
    answer: (documents) => documents.jobs(),
  },
  {
    path: "/api/v1/jobs/:job_id",
    summary: "one job, running or ended, with its events and what it used over time",
    parameters: ["points"],
    answer(documents, query, request) {
      const { job_id: jobId = "" } = request.params as Record<string, string>;
      const job = documents.job(jobId, query.count("points", POINTS));
      return job === undefined ? unknownJob(jobId) : JSON.stringify(job);
    },
  },
  {
    path: "/api/v1/history",
    summary: "the jobs that have ended, the latest first",
    parameters: ["limit", "before", "failed"],
    answer: (documents, query) => JSON.stringify(documents.history(historyPage(query))),
  },
  {
    path: "/api/v1/violations",
    summary: "the jobs that have ended and violated the SLA, the latest first",
    parameters: ["limit", "before", "failed"],
    answer: (documents, query) =>
      JSON.stringify(documents.history({ ...historyPage(query), onlyViolations: true })),
  },
  {
    path: "/api/v1/events",
    summary: "the events that are recorded, the latest first",
    parameters: ["limit", "before"],
    answer(documents, query) {
      const limit = query.count("limit", PAGE);
      return JSON.stringify(documents.events({ limit, before: query.place("before", parseNumber) }));
    },
  },
  {
    path: "/api/v1/policy",
    summary: "the policy in force, and what is refused",
    answer: (documents) => JSON.stringify(documents.policy()),
  },
];

/** The routes with other answers. */
const OTHER_ROUTES: readonly Omit<ApiRoute, "answer">[] = [
  { path: "/api/v1", summary: "this list" },
  { path: "/api/v1/openapi.json", summary: "the description of the API (OpenAPI 3.1)" },
  { path: "/api/v1/stream", summary: "snapshots, ends and events as they happen (server-sent events)" },
];

/** All routes, as the API describes them. */
export const API_ROUTES: readonly Omit<ApiRoute, "answer">[] = [...OTHER_ROUTES, ...DOCUMENT_ROUTES];

/** `stream` answers the route of the stream. */
export function apiRoutes(documents: DocumentSource, stream: Handler, budget = new Budget()): Routes {
  return {
    "/api/v1": withoutParameters(indexText),
    "/api/v1/openapi.json": withoutParameters(openApiText),
    "/api/v1/stream": stream,
    ...Object.fromEntries(DOCUMENT_ROUTES.map((route) => [route.path, handlerOf(route, documents, budget)])),
  };
}

function handlerOf(
  { parameters = [], answer }: ApiRoute,
  documents: DocumentSource,
  budget: Budget,
): Handler {
  return checked((request) => {
    const query = new Query(request, parameters);
    const shown = documents();
    if (shown === undefined) return problemResponse(request, STARTING);
    const respond = () => {
      const result = answer(shown, query, request);
      return typeof result === "string"
        ? respondCompressed(request, result, JSON_TYPE)
        : problemResponse(request, result);
    };
    return budget.spend(() => shown.inBackground(respond)) ?? problemResponse(request, BUSY);
  });
}

function withoutParameters(text: () => string | Promise<string>): Handler {
  return checked(async (request) => {
    new Query(request, []);
    return respondCompressed(request, await text(), JSON_TYPE);
  });
}

/** Returns the problem of a query that is not valid. */
export function checked(answer: Handler): Handler {
  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      if (error instanceof BadQuery) return problemResponse(request, error.problem);
      throw error;
    }
  };
}

function indexText(): string {
  const routes = API_ROUTES.map(({ path, summary }) => ({ path: templateOf(path), summary }));
  return JSON.stringify({ ffrtmp_version: version, routes } satisfies ApiIndexJson);
}

/** Returns a path with its parameters in braces: RFC 6570. */
export function templateOf(path: string): string {
  return path.replace(/:(\w+)/g, "{$1}");
}

function historyPage(query: Query) {
  return {
    limit: query.count("limit", PAGE),
    before: query.place("before", parsePlace),
    onlyFailed: query.flag("failed") ?? false,
  };
}

function unknownJob(jobId: string): Problem {
  return {
    status: 404,
    detail: `no job has the id ${jobId.slice(0, 200)}: none runs, and none is in the ledger`,
    next: "see /api/v1/jobs and /api/v1/history",
  };
}

function parseNumber(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
