import { z } from "zod";
import {
  apiIndex,
  eventPage,
  jobDetail,
  jobList,
  policyInForce,
  problemDocument,
  resultPage,
  STREAM_EVENTS,
} from "./apiSchemas.ts";
import { snapshotSchema } from "./snapshotSchemas.ts";

/** The documents of the API by their path, as the tests check them and as the description of the API has them. */
export const API_DOCUMENTS: Readonly<Record<string, z.ZodType>> = {
  "/api/v1": apiIndex,
  "/api/v1/openapi.json": z.looseObject({ openapi: z.string() }).describe("an OpenAPI 3.1 document"),
  "/api/v1/snapshot": snapshotSchema,
  "/api/v1/jobs": jobList,
  "/api/v1/jobs/:job_id": jobDetail,
  "/api/v1/history": resultPage,
  "/api/v1/violations": resultPage,
  "/api/v1/events": eventPage,
  "/api/v1/policy": policyInForce,
};

/** The document of each answer with an error. */
export const API_PROBLEM: z.ZodType = problemDocument;

/** The data of each event of /api/v1/stream, by the name of the event. */
export const API_STREAM: Readonly<Record<string, z.ZodType>> = STREAM_EVENTS;
