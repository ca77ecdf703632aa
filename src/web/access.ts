import { createHash, timingSafeEqual } from "node:crypto";
import type { Problem } from "./problem.ts";

/** Decides which requests are answered. */
export class Access {
  readonly #tokenHash: Buffer | undefined;

  /** Without a token, only requests to a name of this machine itself are answered, on a loopback address. */
  constructor(token: string | undefined) {
    this.#tokenHash = token === undefined ? undefined : hashOf(token);
  }

  /** Returns the refusal of a request; `undefined` for one to answer. `needsToken`: the answer has data of jobs. */
  refusalOf(request: Request, needsToken = true): Problem | undefined {
    // A page of another site can ask for this address under its own name (DNS rebinding).
    if (this.#tokenHash === undefined && !namesThisMachine(request.headers.get("host")))
      return {
        status: 403,
        detail: "this address answers to no other name than that of this machine",
        next: "ask for localhost",
      };
    if (this.#tokenHash !== undefined && needsToken && !this.#isAuthorized(request))
      return {
        status: 401,
        detail: "the request has no token, or another one",
        next: "send the header Authorization: Bearer TOKEN",
        headers: { "WWW-Authenticate": 'Bearer realm="ffrtmp"' },
      };
    if (request.method !== "GET" && request.method !== "HEAD")
      return {
        status: 405,
        detail: `${request.method} is not answered: this server only shows`,
        next: "use GET or HEAD; to change something, use the command line",
        headers: { Allow: "GET, HEAD" },
      };
    return undefined;
  }

  #isAuthorized(request: Request): boolean {
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    // Hashes have one length, and the comparison takes the same time wherever they differ.
    return (
      token !== undefined && this.#tokenHash !== undefined && timingSafeEqual(hashOf(token), this.#tokenHash)
    );
  }
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function namesThisMachine(host: string | null): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host ?? "");
}
