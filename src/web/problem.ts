import { respond } from "./response.ts";

/** The reason why a request has no answer. */
export interface Problem {
  readonly status: keyof typeof TITLES;
  /** The request as it was understood, and why there is no answer. */
  readonly detail: string;
  /** The next step for the client. */
  readonly next: string;
  /** The parameter that is not valid. */
  readonly parameter?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The paths below this one answer in JSON. */
const API_PATH = "/api";

const TITLES = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  500: "Internal Server Error",
  503: "Service Unavailable",
} as const;

/** The daemon has not read its jobs yet. */
export const STARTING: Problem = {
  status: 503,
  detail: "ffrtmp watch is starting",
  next: "ask again in a second",
  headers: { "Retry-After": "1" },
};

/** Earlier answers have used up the time of a budget. */
export const BUSY: Problem = {
  status: 503,
  detail: "the answers of the last second took a quarter of a core, and jobs come first",
  next: "ask less often, or read /api/v1/stream",
  headers: { "Retry-After": "1" },
};

/** Returns a problem as JSON (RFC 9457) to a client of the API, and as text to all others. */
export function problemResponse(request: Request, problem: Problem): Response {
  const { status, detail, next, parameter, headers = {} } = problem;
  if (!isApiPath(pathOf(request)))
    return respond(`${detail}; ${next}\n`, "text/plain; charset=utf-8", { status, headers });
  const named = parameter === undefined ? {} : { parameter };
  const body = JSON.stringify({ title: TITLES[status], status, detail, ...named, next });
  return respond(`${body}\n`, "application/problem+json", { status, headers });
}

/** Returns the path of a request, whatever its Host header makes of its URL. */
export function pathOf({ url }: Request): string {
  return URL.parse(url, "http://localhost")?.pathname ?? "/";
}

function isApiPath(path: string): boolean {
  return path === API_PATH || path.startsWith(`${API_PATH}/`);
}
