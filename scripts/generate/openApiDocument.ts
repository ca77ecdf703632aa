import { z } from "zod";
import { version } from "../../package.json";
import { API_DOCUMENTS, API_PROBLEM, API_STREAM } from "../../src/json/apiDocuments.ts";
import { API_ROUTES, type ApiRoute, PAGE, POINTS, templateOf } from "../../src/web/api/apiRoutes.ts";

type Schema = Record<string, unknown>;

const STREAM_PATH = "/api/v1/stream";

const PARAMETERS: Record<string, Schema> = {
  limit: countParameter("how many entries to return at most", PAGE),
  points: countParameter("how many points each history has at most; neighbours are merged", POINTS),
  before: {
    description: "the place after which older entries follow: `next` of an earlier answer",
    schema: { type: "string" },
  },
  failed: {
    description: "`true`: only jobs whose workload failed or was killed",
    schema: { type: "boolean", default: false },
  },
};

/** Returns the description of the API: https://spec.openapis.org/oas/v3.1.1. Throws for a route without a schema. */
export function openApiDocument(): Schema {
  const schemas: Record<string, Schema> = {};
  const paths = Object.fromEntries(
    API_ROUTES.map((route) => [templateOf(route.path), { get: operationOf(route, schemas) }]),
  );
  const problem = referenceTo(API_PROBLEM, schemas);
  for (const schema of Object.values(API_STREAM)) referenceTo(schema, schemas);
  const sorted = Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    openapi: "3.1.1",
    info: {
      title: "ffrtmp",
      version,
      summary: "The machine and its jobs, as `ffrtmp watch --listen` shows them",
      description:
        "Nothing can be changed here, and a request waits for no measurement. Keys stay from release to release and new ones can be added: ignore those that you do not know. `null` means that a value is not known, unless the description gives another meaning. Times are ISO 8601 in UTC, durations in seconds, sizes in bytes.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "http://127.0.0.1:9797", description: "the address of --listen" }],
    security: [{}, { token: [] }],
    paths,
    components: {
      schemas: Object.fromEntries(sorted),
      responses: {
        problem: {
          description: "the reason why there is no answer",
          content: { "application/problem+json": { schema: problem } },
        },
      },
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "the token of `watch --token-file`" },
      },
    },
  };
}

function operationOf(
  { path, summary, parameters = [] }: Omit<ApiRoute, "answer">,
  schemas: Record<string, Schema>,
) {
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    description: "the id of a job",
    schema: { type: "string" },
  }));
  const inQuery = parameters.map((name) => {
    const parameter = PARAMETERS[name];
    if (parameter === undefined) throw new Error(`${path}: the parameter ${name} is not described`);
    return { name, in: "query", ...parameter };
  });
  return {
    operationId: operationIdOf(path),
    summary,
    ...(inPath.length + inQuery.length === 0 ? {} : { parameters: [...inPath, ...inQuery] }),
    responses: {
      200: path === STREAM_PATH ? streamResponse(schemas) : documentResponse(path, schemas),
      ...Object.fromEntries(
        statusesOf(path).map((status) => [status, { $ref: "#/components/responses/problem" }]),
      ),
    },
  };
}

/** 403 and 401: another name or no token. 500: a fault of ffrtmp. 503: the daemon is starting, or has too many clients. */
function statusesOf(path: string): number[] {
  const isStatic = path === "/api/v1" || path.endsWith(".json");
  return [400, 401, 403, ...(path.includes(":") ? [404] : []), 500, ...(isStatic ? [] : [503])];
}

function documentResponse(path: string, schemas: Record<string, Schema>): Schema {
  const schema = API_DOCUMENTS[path];
  if (schema === undefined) throw new Error(`${path}: no schema in src/json/apiDocuments.ts`);
  const reference = referenceTo(schema, schemas);
  return { description: "the document", content: { "application/json": { schema: reference } } };
}

function streamResponse(schemas: Record<string, Schema>): Schema {
  const events = Object.entries(API_STREAM).map(([name, schema]) => [name, referenceTo(schema, schemas)]);
  return {
    description:
      "server-sent events. `snapshot`: each second, with an `id`. `ended`: a job has ended. `event`: an event of the log of `ffrtmp watch`. `missed`: events were left out, because the client read too slowly. The data of each is JSON of the schema in `x-event-schemas`",
    content: { "text/event-stream": { schema: { type: "string" } } },
    "x-event-schemas": Object.fromEntries(events),
  };
}

// /api/v1/jobs/:job_id → getJobsByJobId
function operationIdOf(path: string): string {
  const words = path.replace("/api/v1", "").replace(/:/g, "by/").split(/[/._]/).filter(Boolean);
  const name = words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join("");
  return `get${name || "Index"}`;
}

function countParameter(description: string, { max, usual }: { max: number; usual: number }): Schema {
  return { description, schema: { type: "integer", minimum: 1, maximum: max, default: usual } };
}

/** Adds the objects of a schema to `schemas`, by their names, and returns a reference to the schema, or itself without a name. */
function referenceTo(schema: z.ZodType, schemas: Record<string, Schema>): Schema {
  const { $schema: _, $defs = {}, ...own } = z.toJSONSchema(schema, { io: "output", unrepresentable: "any" });
  for (const [name, definition] of Object.entries($defs)) {
    const { id: __, ...rest } = definition as Schema;
    schemas[name] = published(rest) as Schema;
  }
  const { id, ...rest } = own as Schema;
  if (typeof id !== "string") return published(rest) as Schema;
  schemas[id] = published(rest) as Schema;
  return { $ref: `#/components/schemas/${id}` };
}

/** References lead to the components. A later release can add keys, which a client must not refuse. */
function published(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(published);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, each]): [string, unknown][] => {
    if (key === "additionalProperties" && each === false) return [];
    if (key === "$ref") return [[key, String(each).replace("#/$defs/", "#/components/schemas/")]];
    return [[key, published(each)]];
  });
  return Object.fromEntries(entries);
}
