/** Headers of each response. The pages have no inline scripts, are in no frame, and are not cached. */
const SECURITY_HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cache-Control": "no-store",
} as const;

/** A text of this length is smaller than the headers of its compression. */
const MIN_COMPRESSED = 1024;

export type Body = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

export function respond(
  body: Body,
  contentType: string,
  { status = 200, headers = {} }: { status?: number; headers?: Readonly<Record<string, string>> } = {},
): Response {
  return new Response(body, {
    status,
    headers: { ...SECURITY_HEADERS, "Content-Type": contentType, ...headers },
  });
}

/** Compresses a text for a client that understands this. */
export function respondCompressed(request: Request, text: string, contentType: string): Response {
  const isCompressed =
    text.length >= MIN_COMPRESSED && /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  if (!isCompressed) return respond(text, contentType, { headers: VARY });
  // Level 1: the text repeats itself, and a request must not delay the daemon.
  const headers = { ...VARY, "Content-Encoding": "gzip" };
  return respond(Bun.gzipSync(text, { level: 1 }), contentType, { headers });
}

const VARY = { Vary: "Accept-Encoding" };
