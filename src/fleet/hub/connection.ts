import { JetStreamApiError, JetStreamError } from "@nats-io/jetstream";
import { AuthorizationError, errors, type NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../jobs/errors.ts";
import { describeCode } from "../../sys/errno.ts";
import { connect } from "../client/connect.ts";

/** One user of a hub. */
export interface Credentials {
  /** Addresses as `tls://host:port`. */
  readonly hub: readonly string[];
  /** The certificate of the fleet's authority, as PEM. Absent: those that the system trusts. */
  readonly authority: string | undefined;
  readonly seed: string;
  readonly inboxPrefix: string;
  /** How the server's own lists call the connection. */
  readonly name: string;
}

const TIMEOUT_MS = 5000;
/**
 * While nats-server reads its users again, it refuses the keys of some of them for a moment, and closes connections that are
 * being made. It also closes one whose handshake takes 2 s, on a busy machine.
 */
const TRIES = 3;
const RETRY_MS = 300;

/** A hub that cannot be used. */
export class HubRefusal extends Refusal {
  readonly fault: "unreachable" | "untrusted" | "unknown key";
  /** It may be over in a moment. */
  readonly isPassing: boolean;

  constructor(message: string, hint: string, fault: HubRefusal["fault"], isPassing = false) {
    super(message, hint);
    this.fault = fault;
    this.isPassing = isPassing;
  }
}

/** Connects for one command: a lost connection is an error. Throws a HubRefusal. */
export async function connectToHub(credentials: Credentials, tries = TRIES): Promise<NatsConnection> {
  for (let left = tries - 1; ; left--) {
    try {
      return await connectOnce(credentials);
    } catch (error) {
      if (left === 0 || !(error instanceof HubRefusal) || !error.isPassing) throw error;
      await Bun.sleep(RETRY_MS);
    }
  }
}

async function connectOnce(credentials: Credentials): Promise<NatsConnection> {
  const { hub, authority, seed, inboxPrefix, name } = credentials;
  const isEncrypted = hub.every((url) => url.startsWith("tls:"));
  try {
    const options = {
      servers: hub.map((url) => url.replace(/^tls:\/\//, "")),
      tls: isEncrypted ? (authority === undefined ? {} : { ca: authority }) : null,
      inboxPrefix,
      name,
      reconnect: false,
      // All servers that may answer are named: where one of them is asked, another one must not answer for it.
      ignoreClusterUpdates: true,
      maxReconnectAttempts: 0,
      timeout: TIMEOUT_MS,
    };
    return await connect(options, seed);
  } catch (error) {
    throw explain(error, hub);
  }
}

function explain(error: unknown, hub: readonly string[]): HubRefusal {
  const where = `the hub at ${hub.join(" or ")}`;
  const causes = causesOf(error);
  if (
    causes.some((each) => each instanceof AuthorizationError || /authorization violation/i.test(String(each)))
  )
    return new HubRefusal(
      `${where} does not accept this key`,
      "the key was revoked or renewed, or the hub has not read its users.conf yet: reload it (SIGHUP)",
      "unknown key",
      true,
    );
  const code = causes.map(codeOf).find((each) => each !== undefined);
  const fault = code === undefined ? undefined : CERTIFICATE_FAULTS[code];
  if (fault !== undefined)
    return new HubRefusal(`${where} cannot be trusted: ${fault[0]}`, fault[1], "untrusted");
  const isSlow = causes.some((each) => each instanceof errors.TimeoutError);
  const reason = isSlow ? `no answer within ${TIMEOUT_MS / 1000} s` : describe(code, causes);
  return new HubRefusal(
    `cannot connect to ${where}: ${reason}`,
    "check that nats-server runs there, and that its name and port can be reached from here",
    "unreachable",
    // The client gives no reason where the server closes the connection before it has said anything.
    code === "EPIPE" || code === "ECONNRESET" || (code === undefined && !isSlow),
  );
}

/** The codes of openssl(1) verify, as the runtime names them, and what to do. */
const CERTIFICATE_FAULTS: Record<string, [message: string, hint: string]> = {
  CERT_NOT_YET_VALID: ["its certificate is not valid yet", "check the clock of this machine: date"],
  CERT_HAS_EXPIRED: ["its certificate has expired", "check the clock of this machine: date"],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    "its certificate is for another name",
    "connect to it by the name that ffrtmp fleet init was given",
  ],
  ...Object.fromEntries(
    [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_GET_ISSUER_CERT",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "CERT_SIGNATURE_FAILURE",
    ].map((code) => [
      code,
      [
        "another authority made its certificate",
        "use an invite of this fleet; or another server answers there",
      ],
    ]),
  ),
};

function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  for (let each = error; each !== undefined && causes.length < 8; each = (each as Error).cause)
    causes.push(each);
  return causes;
}

function codeOf(error: unknown): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : undefined;
}

function describe(code: string | undefined, causes: unknown[]): string {
  if (code === undefined) return (causes.at(-1) as Error).message;
  return NETWORK_FAULTS[code] ?? describeCode(code);
}

const NETWORK_FAULTS: Record<string, string> = {
  EPIPE: "EPIPE (the server closed the connection)",
  ECONNREFUSED: "ECONNREFUSED (no server listens there)",
  ECONNRESET: "ECONNRESET (the server closed the connection)",
  EHOSTUNREACH: "EHOSTUNREACH (no route to it)",
  ENETUNREACH: "ENETUNREACH (no network)",
  ENOTFOUND: "ENOTFOUND (the name is not in DNS)",
};

/** Returns a Refusal for a failure of the hub, and any other error as it is. */
export function explainFailure(error: unknown, action: string): unknown {
  if (!HUB_ERRORS.some((kind) => error instanceof kind) && !isNotEnabled(error)) return error;
  const { message } = error as Error;
  const hint = /storage resources/.test(message)
    ? "make room on the disk of the hub: nats-server uses three quarters of what is free"
    : "look into the log of nats-server";
  return new Refusal(`cannot ${action}: the hub says: ${message}`, hint);
}

/** The hub has no streams. The client does not export this error. */
function isNotEnabled(error: unknown): boolean {
  return error instanceof Error && error.name === "JetStreamNotEnabled";
}

const HUB_ERRORS = [
  JetStreamError,
  // It is none of the former.
  JetStreamApiError,
  errors.ClosedConnectionError,
  errors.ConnectionError,
  errors.NoRespondersError,
  errors.PermissionViolationError,
  errors.RequestError,
  errors.TimeoutError,
];
