import { readFileSync, statSync } from "node:fs";
import { Refusal } from "../jobs/errors.ts";
import { describeErrno } from "../sys/errno.ts";
import { Access } from "./access.ts";
import { ConnectionLimit, descriptorsAt } from "./connectionLimit.ts";
import { type ListenAddress, urlOf } from "./listenAddress.ts";
import { pathOf, problemResponse } from "./problem.ts";
import type { Handler, Routes } from "./routes.ts";

/** The options of `watch` about its web server. */
export interface WebOptions {
  listen: ListenAddress;
  tokenFile?: string | undefined;
  tlsCert?: string | undefined;
  tlsKey?: string | undefined;
}

/** Problems of a running server that the operator should know of. */
export interface WebReports {
  /** There were too many connections, and all were ended. `count` is that since the start. */
  connectionsEnded(count: number): void;
  /** A request failed by a fault of ffrtmp. `route` is not the text of the client. */
  requestFailed(route: string, reason: string): void;
}

export interface WebServer {
  readonly url: string;
  stop(): void;
}

const MIN_TOKEN = 16;
/** A client is shown its own path, and no more of it than a person reads. */
const MAX_SHOWN = 200;

/**
 * Starts to answer requests. Throws a Refusal where the address cannot be used, where another machine could connect without
 * a token and encryption, and for files that cannot be used. `openRoutes` have no data of jobs, and are answered without a
 * token: a browser sends none until the page has asked for it.
 */
export function startWebServer(
  options: WebOptions,
  routes: Routes,
  openRoutes: Routes,
  reports: WebReports,
): WebServer {
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
  const guarded = (route: string, answer: Handler, needsToken = true): Handler => {
    return async (request) => {
      const refusal = access.refusalOf(request, needsToken);
      if (refusal !== undefined) return problemResponse(request, refusal);
      try {
        return await answer(request);
      } catch (error) {
        reports.requestFailed(route, error instanceof Error ? error.message : String(error));
        return problemResponse(request, FAILED);
      }
    };
  };
  const shown = Object.keys({ ...openRoutes, ...routes }).filter((path) => !path.includes(":"));
  const notFound: Handler = (request) =>
    problemResponse(request, {
      status: 404,
      detail: `there is no ${pathOf(request).slice(0, MAX_SHOWN)} here`,
      next: `here is: ${shown.join(", ")}`,
    });
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
        ...Object.fromEntries(
          Object.entries(openRoutes).map(([path, answer]) => [path, guarded(path, answer, false)]),
        ),
        ...Object.fromEntries(Object.entries(routes).map(([path, answer]) => [path, guarded(path, answer)])),
        "/*": guarded("/*", notFound),
      },
      error: () => new Response(null, { status: 500 }),
    });
    const limit = new ConnectionLimit(descriptorsAt(listen.port), reports.connectionsEnded);
    return {
      url: urlOf(listen, tlsCert !== undefined),
      stop() {
        limit.stop();
        void server.stop(true);
      },
    };
  } catch (error) {
    throw new Refusal(
      `cannot listen on ${urlOf(listen, tlsCert !== undefined)}: ${error instanceof Error ? error.message : error}`,
      "choose another --listen, or see who uses it: ss -ltnp",
    );
  }
}

const FAILED = {
  status: 500,
  detail: "this request failed, and no other one",
  next: "ask again; if it fails again, report it with the version that ffrtmp --version prints",
} as const;

function readToken(path: string): string {
  const token = readOption("--token-file", path).trim();
  const fault =
    token.length < MIN_TOKEN
      ? `is shorter than ${MIN_TOKEN} characters`
      : /\s/.test(token)
        ? "is more than one word"
        : // RFC 9110, 5.5
          /[^\x21-\x7e]/.test(token)
          ? "has characters that no client can send in a header"
          : undefined;
  if (fault !== undefined)
    throw new Refusal(
      `the token in ${path} ${fault}`,
      `(umask 077 && head -c 32 /dev/urandom | base64 > ${path})`,
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
