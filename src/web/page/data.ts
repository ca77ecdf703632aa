import type { JobDetailJson, PolicyInForceJson, ResultPageJson } from "../../json/apiSchemas.ts";
import type { JobViewJson, SnapshotJson } from "../../json/snapshotSchemas.ts";

/** The documents of the API, as docs/json.md describes them. */
export type Snapshot = SnapshotJson;
export type JobView = JobViewJson;
export type JobUse = NonNullable<JobView["use"]>;
export type Hindrance = NonNullable<JobUse["hindrance"]>;
export type Result = Snapshot["ended"][number];
export type LimitResult = JobView["limits"][number];

/** A part of `usage_history`: counts in a span of time. */
export type UsagePoint = NonNullable<JobDetail["usage_history"]>["points"][number];
/** A job with all that is known about it: running, or ended. */
export type JobDetail = JobDetailJson;
export type ResultPage = ResultPageJson;
export type Policy = PolicyInForceJson;
