import { readFileSync } from "node:fs";
import {
  AuthorizationError,
  type ConnectionOptions,
  createInbox,
  errors,
  headers,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  RequestError,
} from "@nats-io/nats-core";
import type { SubscriptionImpl } from "@nats-io/nats-core/internal";
import type { Head } from "../chain/chain.ts";
import type { ChainHub } from "../chain/sender.ts";
import { connect } from "../client/connect.ts";
import { lacksDispatch } from "../hub/serverVersion.ts";
import { gzip } from "../messages/gzip.ts";
import { parseJson } from "../messages/parseJson.ts";
import { chainHead } from "../messages/results.ts";
import { WRONG_LAST_SEQUENCE } from "../messages/storeErrors.ts";
import {
  DOCUMENTS,
  documentRequest,
  inboxPrefix,
  lastResultRequest,
  nodeSubject,
  RESULTS,
  resultSubject,
  storedSubject,
} from "../messages/subjects.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import type { DocumentHub, HubDocument } from "./documentFollower.ts";
import { Interruption } from "./interruption.ts";

/** How long an answer is awaited. Links of edges have round trips of seconds at times. */
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection without an answer for three of them is broken: mobile links drop connections without a word. */
const PING_INTERVAL_MS = 20_000;
const MAX_PINGS_OUT = 2;
/** Each wait is between the half and the whole, so that a thousand nodes do not return in one moment. */
const RECONNECT_WAIT_MS = 2000;

/** The time of the node, in ISO 8601, beside a report: the agent reads it back and decompresses nothing. */
export const SENT_AT = "Ffrtmp-At";

/** The status of an answer to a direct get where there is no message. */
export const NOT_FOUND = 404;

/** The answer to a message for a stream: https://docs.nats.io/reference/reference-protocols/nats_api_reference */
export interface PubAck {
  seq?: number;
  error?: { err_code?: number; description?: string };
}

/** A request to a stream. `timeoutMs`: how long to wait for the answer. */
export interface HubRequest {
  readonly stream: string;
  readonly text?: string;
  readonly headers?: MsgHdrs;
  readonly timeoutMs?: number;
}

/** A connection to the hub, which the client restores by itself when it breaks. */
export class Hub implements ChainHub, DocumentHub {
  readonly #connection: NatsConnection;
  readonly #node: string;
  #report: Uint8Array | undefined;
  #isConnected = true;
  #epoch = 0;
  /** The connection is lost, or closed. */
  readonly #loss = new Interruption();

  private constructor(connection: NatsConnection, node: string) {
    this.#connection = connection;
    this.#node = node;
  }

  /** Connects once. Throws what the client throws: the hub is not reachable, not trusted, or does not know the key. */
  static async connect(config: NodeConfig, seed: string): Promise<Hub> {
    return new Hub(await connect(connectionOptions(config), seed), config.node);
  }

  get isConnected(): boolean {
    return this.#isConnected && !this.#connection.isClosed();
  }

  /**
   * Calls back at each loss and each return of the connection, and with each error that the server reports. Ends with the
   * connection, also when the server does not accept the key any more: the client would try it every second.
   */
  async follow(on: { loss(): void; return(): void; error(error: Error): void }): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === "disconnect") {
        // The client reports each attempt that fails, too.
        if (!this.#isConnected) continue;
        this.#isConnected = false;
        this.#loss.fire();
        on.loss();
      } else if (status.type === "reconnect") {
        this.#isConnected = true;
        this.#epoch++;
        on.return();
      } else if (status.type === "error") {
        if (isKeyRefused(status.error)) await this.close();
        else on.error(explainRight(status.error));
      }
    }
    this.#isConnected = false;
  }

  /**
   * Publishes the state of the node. It has no answer: a lost one is replaced by the next. It is compressed, because its jobs are
   * alike: the hub has buffers of its length for each connection, and keeps it on its disk.
   */
  publishNode(text: string, at: string): void {
    this.#report = gzip(text);
    this.#sendReport(this.#report, at);
  }

  /** Publishes the last state again: the hub did not store it, as while it had no leader for the stream. */
  repeatNode(): void {
    if (this.#report !== undefined && this.isConnected)
      this.#sendReport(this.#report, new Date().toISOString());
  }

  #sendReport(report: Uint8Array, at: string): void {
    const marks = headers();
    marks.set(SENT_AT, at);
    this.#connection.publish(nodeSubject(this.#node), report, { headers: marks });
  }

  /** Rises with each return of the connection: the hub may be another one then, or an older one. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Why the server that this connection leads to can hand out no jobs; `undefined`: it can. */
  get lacksDispatch(): string | undefined {
    return lacksDispatch(this.#connection);
  }

  /** Publishes what needs no answer. Throws where there is no connection. */
  publish(subject: string, text: string): void {
    if (!this.isConnected) throw new Error("there is no connection to the hub");
    this.#connection.publish(subject, text);
  }

  async readHead(): Promise<Head | undefined> {
    const message = await this.request(lastResultRequest(this.#node), { stream: RESULTS });
    const code = message.headers?.code ?? 0;
    if (code === NOT_FOUND) return undefined;
    if (code !== 0)
      throw new Error(`the hub cannot read the last results: ${code} ${message.headers?.description}`);
    return headOf(message);
  }

  async append(text: string, after: number): Promise<number | "moved"> {
    const expected = headers();
    expected.set("Nats-Expected-Stream", RESULTS);
    expected.set("Nats-Expected-Last-Subject-Sequence", String(after));
    const request = { text, headers: expected, stream: RESULTS };
    const { seq, error } = (await this.request(resultSubject(this.#node), request)).json<PubAck>();
    if (error !== undefined) {
      if (WRONG_LAST_SEQUENCE.includes(error.err_code ?? 0)) return "moved";
      throw new Error(`the hub does not store results: ${error.description} (${error.err_code})`);
    }
    if (seq === undefined) throw new Error("the hub does not store results: its answer has no number");
    return seq;
  }

  async readDocument(subject: string): Promise<HubDocument | undefined> {
    const message = await this.request(documentRequest(subject), { stream: DOCUMENTS });
    const code = message.headers?.code ?? 0;
    if (code === NOT_FOUND) return undefined;
    if (code !== 0)
      throw new Error(`the hub cannot read ${subject}: ${code} ${message.headers?.description}`);
    return { bytes: message.data, seq: sequenceOf(message) };
  }

  /** The client subscribes again when the connection is back. */
  followDocuments(subjects: readonly string[], onStored: (subject: string, seq: number) => void): void {
    for (const subject of subjects)
      this.#connection.subscribe(storedSubject(subject), {
        callback: (error, message) => {
          if (error === null) onStored(message.headers?.get("Nats-Subject") ?? "", sequenceOf(message));
        },
      });
  }

  async close(): Promise<void> {
    // First, so that who awaits an answer knows why there is none.
    this.#isConnected = false;
    this.#loss.fire();
    await this.#connection.close();
  }

  /**
   * Sends a request and waits for its answer, at most until the connection is lost. `stream`: the stream that answers. Throws what
   * the client throws; the hub may have done what it was asked for.
   */
  async request(
    subject: string,
    { text = "", timeoutMs = REQUEST_TIMEOUT_MS, stream, ...rest }: HubRequest,
  ): Promise<Msg> {
    // The client would keep a request until it is connected again.
    if (!this.isConnected) throw new Error("there is no connection to the hub");
    try {
      const options = { timeout: timeoutMs, ...rest };
      // The client would wait for an answer that cannot arrive.
      return await this.#loss.guard(this.#connection.request(subject, text, options), lossError);
    } catch (error) {
      if (error instanceof RequestError && error.isNoResponders())
        throw new Error(`the hub has no stream ${stream}, or no leader for it`);
      throw error;
    }
  }

  /**
   * Sends a request whose answer can be a message of a stream. Such a message has the subject that it was published to, so the
   * client cannot find the request by it, and a subscription of its own is needed. `undefined`: no answer has come in time.
   */
  async requestMessage(subject: string, text: string, timeoutMs: number): Promise<Msg | undefined> {
    if (!this.isConnected) throw new Error("there is no connection to the hub");
    const inbox = createInbox(inboxPrefix(this.#node));
    const answer = Promise.withResolvers<Msg | undefined>();
    const subscription = this.#connection.subscribe(inbox, {
      max: 1,
      callback: (error, message) => (error === null ? answer.resolve(message) : answer.reject(error)),
    });
    // By it, the client finds whose request the server has refused.
    (subscription as SubscriptionImpl).requestSubject = subject;
    const timer = setTimeout(() => answer.resolve(undefined), timeoutMs);
    try {
      this.#connection.publish(subject, text, { reply: inbox });
      return await this.#loss.guard(answer.promise, lossError);
    } finally {
      clearTimeout(timer);
      subscription.unsubscribe();
    }
  }
}

/** Returns true for an error by which a hub refuses the key of a node. */
export function isKeyRefused(error: unknown): boolean {
  return (
    error instanceof AuthorizationError ||
    error instanceof errors.UserAuthenticationExpiredError ||
    (error instanceof Error && /authorization violation/i.test(error.message))
  );
}

/** The message of the client names a subject, and neither the reason nor what to do. */
function explainRight(error: Error): Error {
  if (!(error instanceof errors.PermissionViolationError)) return error;
  return new Error(
    `this node may not use ${error.subject}: its rights are of an earlier release, or of another invite. ` +
      "On the operator's machine: ffrtmp fleet setup; and a new invite: ffrtmp fleet invite NODE --renew",
    { cause: error },
  );
}

/** Returns true where the hub does not let this node send a request. */
export function isForbidden(error: unknown): boolean {
  return error instanceof errors.PermissionViolationError;
}

function lossError(): Error {
  return new Error("the connection ended before the hub answered");
}

/** The number of a message in its stream, as an answer or a notice of the hub has it; NaN: it has none. */
function sequenceOf(message: Msg): number {
  return Number(message.headers?.get("Nats-Sequence") || Number.NaN);
}

function headOf(message: Msg): Head {
  const streamSeq = sequenceOf(message);
  const parsed = chainHead.safeParse(parseJson(message.data));
  if (!parsed.success || !Number.isSafeInteger(streamSeq))
    throw new Error("the last message with results of this node is of another program, or of a later ffrtmp");
  const { ledger_id: ledgerId, to, to_key: toKey, before } = parsed.data;
  const marks = before.map((mark) => ({ ledgerId: mark.ledger_id, to: mark.to, toKey: mark.to_key }));
  return { streamSeq, ledgerId, to, toKey, before: marks };
}

function connectionOptions(config: NodeConfig): ConnectionOptions {
  const isPlain = config.hub.every((url) => url.startsWith("nats://"));
  return {
    name: `ffrtmp fleet agent ${config.node}`,
    servers: config.hub.map((url) => url.replace(/^\w+:\/\//, "")),
    // With these options, the client refuses a server that offers no TLS.
    ...(isPlain
      ? {}
      : { tls: config.caFile === undefined ? {} : { ca: readFileSync(config.caFile, "utf8") } }),
    inboxPrefix: inboxPrefix(config.node),
    timeout: CONNECT_TIMEOUT_MS,
    pingInterval: PING_INTERVAL_MS,
    maxPingOut: MAX_PINGS_OUT,
    maxReconnectAttempts: -1,
    // A hub that was restored may learn of this node's key later.
    ignoreAuthErrorAbort: true,
    reconnectDelayHandler: () => (RECONNECT_WAIT_MS * (1 + Math.random())) / 2,
  };
}
