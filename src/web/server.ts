import { readFileSync, statSync } from "node:fs";
import { Refusal } from "../jobs/errors.ts";
import { describeErrno } from "../sys/errno.ts";
import { Access, plainText, respond } from "./access.ts";
import { formatFor, type MetricFamily, renderMetrics } from "./exposition.ts";
import { type ListenAddress, urlOf } from "./listenAddress.ts";

/** The options of `watch` about its web server. */
export interface WebOptions {
  listen: ListenAddress;
  tokenFile?: string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

/** The state that the server shows. Nothing is measured for a request. */
export interface WebSources {
  /** `undefined`: nothing yet. */
  metrics(): MetricFamily[] | undefined;
}

export interface WebServer {
  readonly url: string;
  stop(): void;
}

/** A text of this length is smaller than the headers of its compression. */
const MIN_COMPRESSED = 1024;
const MIN_TOKEN = 16;

/**
 * Starts to answer requests. Throws a Refusal where the address cannot be used, where another machine could connect without
 * a token and encryption, and for files that cannot be used.
 */
export function startWebServer(options: WebOptions, sources: WebSources): WebServer {
  const { listen, tokenFile, tlsCert, tlsKey } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new Refusal(
      "encryption needs a certificate and its private key",
      "give both --tls-cert and --tls-key",
    );
  const isProtected = tokenFile !== undefined && tlsCert !== undefined;
  if (!listen.isLoopback && !isProtected)
    throw new Refusal(
      `other machines can reach ${listen.hostname}, which must not all see what jobs do`,
      "add --token-file, --tls-cert and --tls-key, or listen on 127.0.0.1",
    );
  const access = new Access(tokenFile === undefined ? undefined : readToken(tokenFile));
  const files = {
    ...(tlsCert === undefined ? {} : { cert: readOption("--tls-cert", tlsCert) }),
    ...(tlsKey === undefined ? {} : { key: readOption("--tls-key", tlsKey) }),
  };
  const serve = (request: Request, answer: () => Response): Response => access.refusalOf(request) ?? answer();
  try {
    const server = Bun.serve({
      hostname: listen.hostname,
      port: listen.port,
      development: false,
      // A client that sends nothing holds a connection, and nothing else.
      idleTimeout: 30,
      maxRequestBodySize: 0,
      ...(tlsCert === undefined ? {} : { tls: files }),
      routes: {
        "/metrics": (request) => serve(request, () => metricsResponse(request, sources.metrics())),
      },
      fetch: (request) => serve(request, () => plainText(404, "not found; here is: /metrics\n")),
      error: () => plainText(500, "this request failed, and the others go on\n"),
    });
    return { url: urlOf(listen, tlsCert !== undefined), stop: () => void server.stop(true) };
  } catch (error) {
    throw new Refusal(
      `cannot listen on ${urlOf(listen, tlsCert !== undefined)}: ${error instanceof Error ? error.message : error}`,
      "choose another --listen, or see who uses it: ss -ltnp",
    );
  }
}

function metricsResponse(request: Request, families: MetricFamily[] | undefined): Response {
  if (families === undefined) return plainText(503, "ffrtmp watch is starting\n", { "Retry-After": "1" });
  const format = formatFor(request.headers.get("accept"));
  const text = renderMetrics(families, format);
  const isCompressed =
    text.length >= MIN_COMPRESSED && /\bgzip\b/.test(request.headers.get("accept-encoding") ?? "");
  // Level 1: the text repeats itself, and a scrape must not delay the daemon.
  return isCompressed
    ? respond(Bun.gzipSync(text, { level: 1 }), format.contentType, { "Content-Encoding": "gzip" })
    : respond(text, format.contentType);
}

function readToken(path: string): string {
  const token = readOption("--token-file", path).trim();
  if (token.length < MIN_TOKEN || /\s/.test(token))
    throw new Refusal(
      `the token in ${path} is ${token.length < MIN_TOKEN ? `shorter than ${MIN_TOKEN} characters` : "more than one word"}`,
      `head -c 32 /dev/urandom | base64 > ${path}`,
    );
  if ((statSync(path).mode & 0o007) !== 0)
    throw new Refusal(
      `every user of this machine can read or change the token in ${path}`,
      `chmod 600 ${path}`,
    );
  return token;
}

function readOption(option: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Refusal(`cannot read the file of ${option}, ${path}: ${describeErrno(error)}`);
  }
}
