import { expect, test } from "bun:test";
import { useDocuments } from "../../../test/support/documents.ts";
import { someJob } from "../../../test/support/jobs.ts";
import { API_DOCUMENTS, API_PROBLEM } from "../../json/apiDocuments.ts";
import { Budget } from "../budget.ts";
import type { Routes } from "../routes.ts";
import { API_ROUTES, apiRoutes } from "./apiRoutes.ts";

const open = useDocuments();
const noStream = () => new Response();

/** Asks one of the routes, as the server does. */
async function ask(routes: Routes, route: string, query = "", init: RequestInit = {}, jobId = "live-1") {
  const path = route.replace(":job_id", jobId);
  const request = new Request(`http://localhost:9797${path}${query}`, init) as Bun.BunRequest;
  Object.assign(request, { params: { job_id: jobId } });
  const response = await routes[route]?.(request);
  if (response === undefined) throw new Error(`no route ${route}`);
  return response;
}

async function problemOf(response: Response) {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  // biome-ignore lint/suspicious/noExplicitAny: the schema is checked below
  const problem = (await response.json()) as any;
  expect(API_PROBLEM.safeParse(problem).error?.message).toBeUndefined();
  expect(problem.status).toBe(response.status);
  return problem;
}

test.each(Object.keys(API_DOCUMENTS))("%s answers with the document that is described", async (route) => {
  const { documents, views } = open();
  views.push({ job: someJob({ jobId: "live-1" }), use: undefined, cores: [] });
  const response = await ask(
    apiRoutes(() => documents, noStream),
    route,
  );
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("application/json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  expect(response.headers.get("access-control-allow-origin")).toBeNull();
  expect(API_DOCUMENTS[route]?.safeParse(await response.json()).error?.message).toBeUndefined();
});

test("the routes are those that the API describes, and the index lists them all", async () => {
  const { documents } = open();
  const routes = apiRoutes(() => documents, noStream);
  const paths = API_ROUTES.map(({ path }) => path);
  expect(Object.keys(routes).toSorted()).toEqual(paths.toSorted());
  const index = (await (await ask(routes, "/api/v1")).json()) as { routes: { path: string }[] };
  const listed = index.routes.map(({ path }) => path);
  expect(listed).toEqual(paths.map((path) => path.replace(":job_id", "{job_id}")));
});

test.each([
  ["/api/v1/history", "?limit=0", "limit"],
  ["/api/v1/history", "?limit=101", "limit"],
  ["/api/v1/history", "?limit=1e1", "limit"],
  ["/api/v1/history", "?limit=", "limit"],
  ["/api/v1/history", "?limit=5&limit=6", "limit"],
  ["/api/v1/history", "?before=yesterday", "before"],
  ["/api/v1/history", "?failed=1", "failed"],
  ["/api/v1/violations", "?before=5", "before"],
  ["/api/v1/events", "?before=-1", "before"],
  ["/api/v1/events", "?failed=true", "failed"],
  ["/api/v1/jobs/:job_id", "?points=361", "points"],
  ["/api/v1/snapshot", "?pretty", "pretty"],
  ["/api/v1/openapi.json", "?x=1", "x"],
])("%s%s is refused, and the parameter named", async (route, query, parameter) => {
  const { documents } = open();
  const response = await ask(
    apiRoutes(() => documents, noStream),
    route,
    query,
  );
  expect(response.status).toBe(400);
  const problem = await problemOf(response);
  expect(problem.parameter).toBe(parameter);
  expect(problem.detail).toContain(parameter);
});

test("a job without a record is not found, and the answer says where to look", async () => {
  const { documents } = open();
  const routes = apiRoutes(() => documents, noStream);
  const response = await ask(routes, "/api/v1/jobs/:job_id", "", {}, "nobody");
  expect(response.status).toBe(404);
  expect(await problemOf(response)).toMatchObject({
    detail: "no job has the id nobody: none runs, and none is in the ledger",
    next: "see /api/v1/jobs and /api/v1/history",
  });
});

test("while the daemon starts, the client is asked to come back", async () => {
  const response = await ask(
    apiRoutes(() => undefined, noStream),
    "/api/v1/jobs",
  );
  expect(response.status).toBe(503);
  expect(response.headers.get("retry-after")).toBe("1");
  await problemOf(response);
});

test("a client that understands gzip gets a long document compressed", async () => {
  const { documents } = open();
  const headers = { "accept-encoding": "br, gzip" };
  const response = await ask(
    apiRoutes(() => documents, noStream),
    "/api/v1/openapi.json",
    "",
    { headers },
  );
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(response.headers.get("vary")).toBe("Accept-Encoding");
  const text = new TextDecoder().decode(Bun.gunzipSync(await response.arrayBuffer()));
  expect(JSON.parse(text).openapi).toBe("3.1.1");
});

test("a program that asks without a pause is refused before it takes more than a quarter of a core", async () => {
  const { documents } = open();
  let cpuMs = 0;
  // No time passes, and each reading of the CPU time is 100 ms later.
  const budget = new Budget(
    () => 0,
    () => (cpuMs += 100),
  );
  const routes = apiRoutes(() => documents, noStream, budget);
  const statuses: number[] = [];
  for (let n = 0; n < 4; n++) statuses.push((await ask(routes, "/api/v1/policy")).status);
  expect(statuses).toEqual([200, 200, 200, 503]);
  const refused = await ask(routes, "/api/v1/jobs");
  expect(refused.headers.get("retry-after")).toBe("1");
  expect((await problemOf(refused)).next).toBe("ask less often, or read /api/v1/stream");
});
