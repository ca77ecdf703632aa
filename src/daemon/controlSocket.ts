import { lstatSync, unlinkSync } from "node:fs";
import type { StateFiles } from "../ledger/location.ts";
import { describeErrno } from "../sys/errno.ts";
import { openSocketPath, type Peer, readPeer } from "../sys/unixSocket.ts";

/** A request is one line of JSON, an object with the name of the request. */
export type ControlRequest = { request: string } & Record<string, unknown>;
/** An answer is one JSON object. */
export type ControlAnswer = { ok: true; [key: string]: unknown } | { ok: false; error: string };

/** Requests that this daemon answers, by name. Others get an error. A string is an answer in JSON already. */
export type ControlHandlers = Record<
  string,
  (request: ControlRequest, peer: Peer) => ControlAnswer | string | Promise<ControlAnswer>
>;

const MAX_CLIENTS = 16;
/** The longest request has the key of a job. */
const MAX_REQUEST_BYTES = 4096;
/** How long a client may take to send its request, and to read its answer. */
const CLIENT_TIMEOUT_SECONDS = 5;

interface Client {
  peer: Peer | undefined;
  received: Uint8Array;
  isAsked: boolean;
  /** The end of the answer that did not fit into the buffer of the socket. */
  unsent: Uint8Array;
}

type ClientSocket = Bun.Socket<Client>;

/**
 * The socket in the state directory on which `watch` answers other ffrtmp processes: one request and one answer for each
 * connection. Only root and the user of the daemon are answered. No client can delay the daemon: what one sends and reads
 * is bounded, and so are the number of clients and their time.
 */
export class ControlSocket {
  readonly #listener: Bun.UnixSocketListener<Client>;
  readonly #closePath: () => void;
  readonly #handlers: ControlHandlers;
  readonly #clients = new Set<ClientSocket>();

  /** Replaces the socket that an earlier daemon left. The caller holds the lock of the state directory. */
  static open(state: StateFiles, handlers: ControlHandlers): ControlSocket | { reason: string } {
    try {
      return new ControlSocket(state, handlers);
    } catch (error) {
      return { reason: describeErrno(error) };
    }
  }

  private constructor({ directory, controlSocket }: StateFiles, handlers: ControlHandlers) {
    this.#handlers = handlers;
    const { path, close } = openSocketPath(directory, controlSocket);
    this.#closePath = close;
    const umask = process.umask(0o177);
    try {
      const left = lstatSync(path, { throwIfNoEntry: false });
      if (left !== undefined && !left.isSocket()) throw new Error(`${controlSocket} there is not a socket`);
      if (left !== undefined) unlinkSync(path);
      this.#listener = Bun.listen<Client>({
        unix: path,
        socket: {
          open: (socket) => this.#open(socket),
          data: (socket, bytes) => this.#receive(socket, bytes),
          drain: (socket) => this.#send(socket),
          timeout: (socket) => void socket.terminate(),
          close: (socket) => void this.#clients.delete(socket),
          error: (socket) => void socket.terminate(),
        },
      });
    } catch (error) {
      close();
      throw error;
    } finally {
      process.umask(umask);
    }
  }

  /** Answers no more requests, and removes the socket. */
  stop(): void {
    this.#listener.stop(true);
    this.#closePath();
  }

  #open(socket: ClientSocket): void {
    const peer = readPeer(socketFd(socket));
    const isAllowed = peer !== undefined && [0, process.geteuid?.()].includes(peer.uid);
    socket.data = { peer, received: new Uint8Array(), isAsked: false, unsent: new Uint8Array() };
    if (!isAllowed || this.#clients.size >= MAX_CLIENTS) {
      socket.terminate();
      return;
    }
    this.#clients.add(socket);
    socket.timeout(CLIENT_TIMEOUT_SECONDS);
  }

  #receive(socket: ClientSocket, bytes: Uint8Array): void {
    const client = socket.data;
    if (client.isAsked) return;
    client.received = Buffer.concat([client.received, bytes.subarray(0, MAX_REQUEST_BYTES)]);
    const end = client.received.indexOf(NEWLINE);
    if (end < 0 && client.received.length < MAX_REQUEST_BYTES) return;
    client.isAsked = true;
    void this.#answer(new TextDecoder().decode(client.received.subarray(0, Math.max(end, 0))), client).then(
      (answer) => {
        const text = typeof answer === "string" ? answer : JSON.stringify(answer);
        client.unsent = new TextEncoder().encode(`${text}\n`);
        this.#send(socket);
      },
    );
  }

  async #answer(line: string, { peer }: Client): Promise<ControlAnswer | string> {
    const request = parseRequest(line);
    if (request === undefined || peer === undefined)
      return { ok: false, error: 'a request is one line of JSON such as {"request":"status"}' };
    const handler = Object.hasOwn(this.#handlers, request.request)
      ? this.#handlers[request.request]
      : undefined;
    const known = Object.keys(this.#handlers).join(", ");
    if (!handler) return { ok: false, error: `unknown request; this ffrtmp watch knows: ${known}` };
    try {
      return await handler(request, peer);
    } catch (error) {
      return { ok: false, error: error instanceof Error ? error.message : String(error) };
    }
  }

  #send(socket: ClientSocket): void {
    const client = socket.data;
    if (!this.#clients.has(socket) || client.unsent.length === 0) return;
    client.unsent = client.unsent.subarray(Math.max(0, socket.write(client.unsent)));
    if (client.unsent.length === 0) socket.end();
  }
}

const NEWLINE = 10;

function parseRequest(line: string): ControlRequest | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value?.request === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The type definitions of the runtime lack the descriptor of a socket. */
function socketFd(socket: ClientSocket): number {
  return (socket as unknown as { fd: number }).fd;
}
