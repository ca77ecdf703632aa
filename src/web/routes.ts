/** Answers a request that was let in. */
export type Handler = (request: Bun.BunRequest) => Response | Promise<Response>;

/** The handlers by path. A part of a path that begins with `:` is a parameter: `/jobs/:job_id`. */
export type Routes = Readonly<Record<string, Handler>>;
