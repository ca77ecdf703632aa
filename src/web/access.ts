import { createHash, timingSafeEqual } from "node:crypto";

/** Headers of each response. The pages have no inline scripts, are in no frame, and are not cached. */
const SECURITY_HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
} as const;

/** Decides which requests are answered. */
export class Access {
  readonly #tokenHash: Buffer | undefined;

  /** Without a token, only requests to a name of this machine itself are answered, on a loopback address. */
  constructor(token: string | undefined) {
    this.#tokenHash = token === undefined ? undefined : hashOf(token);
  }

  /** Returns the refusal of a request; `undefined` for one to answer. */
  refusalOf(request: Request): Response | undefined {
    // A page of another site can ask for this address under its own name (DNS rebinding).
    if (this.#tokenHash === undefined && !namesThisMachine(request.headers.get("host")))
      return plainText(403, "ask for localhost: this address answers to no other name\n");
    if (this.#tokenHash !== undefined && !this.#isAuthorized(request))
      return plainText(401, "send the token: Authorization: Bearer TOKEN\n", {
        "WWW-Authenticate": 'Bearer realm="ffrtmp"',
      });
    if (request.method !== "GET" && request.method !== "HEAD")
      return plainText(405, "only GET and HEAD are answered: this server only shows\n", {
        Allow: "GET, HEAD",
      });
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

export function respond(
  body: string | Uint8Array<ArrayBuffer>,
  contentType: string,
  extra: Record<string, string> = {},
): Response {
  return new Response(body, { headers: { ...SECURITY_HEADERS, "Content-Type": contentType, ...extra } });
}

export function plainText(status: number, text: string, extra: Record<string, string> = {}): Response {
  const headers = { ...SECURITY_HEADERS, "Content-Type": "text/plain; charset=utf-8", ...extra };
  return new Response(text, { status, headers });
}
