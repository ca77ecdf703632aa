import type { ConnectionOptions } from "@nats-io/nats-core";
import {
  checkOptions,
  errors,
  extractProtocolMessage,
  INFO,
  type Server,
  type Transport,
} from "@nats-io/nats-core/internal";
import type { Socket, SocketHandler } from "bun";
import { version } from "../../../package.json";

/** Options of a connection whose user has a key. */
export interface SignedOptions extends ConnectionOptions {
  /** Called with the server's challenge, before the client asks its authenticator for the answer. */
  readonly answerChallenge?: (challenge: string) => Promise<void>;
}

/** How long a connection may take to send what is left, and its end. */
const LINGER_MS = 1000;
/** A server says much less, and what does not speak NATS can say anything. */
const MAX_INFO_BYTES = 64 * 1024;

/** The INFO message, which a server sends before the handshake: https://docs.nats.io/reference/reference-protocols/nats-protocol#info */
type ServerInfo = Parameters<typeof checkOptions>[0];

/**
 * A connection of the NATS client over the runtime's own sockets. The client's package for Node.js uses node:net and node:tls,
 * which take 3 MB of a process that is to have 8, and most of the CPU time of a connection.
 */
export class SocketTransport implements Transport {
  /** The server's lists of connections show both. */
  readonly lang = "ffrtmp";
  readonly version = version;
  #socket: Socket<undefined> | undefined;
  /** With the one below TLS, which the runtime could otherwise end as garbage. */
  #sockets: Socket<undefined>[] = [];
  #isEncrypted = false;
  /** The handshake before the client's own protocol is over, and the end of the connection is the client's business. */
  #isConnected = false;
  #isDone = false;
  #error: Error | undefined;
  #received: Uint8Array[] = [];
  /** The length of the first line of the server. */
  #infoBytes = 0;
  /** Settles when something was received, or the connection has ended. */
  #arrival = Promise.withResolvers<void>();
  /** Settles when the server closes the connection before it is made. */
  readonly #refusal = Promise.withResolvers<never>();
  readonly #end = Promise.withResolvers<Error | undefined>();
  /** Bytes that the kernel had no room for, in order. */
  #unsent: Uint8Array[] = [];

  constructor() {
    this.#refusal.promise.catch(() => {});
  }

  get isClosed(): boolean {
    return this.#isDone;
  }

  get closeError(): Error {
    // The interface has an optional key, and no key that is undefined.
    return this.#error as Error;
  }

  isEncrypted(): boolean {
    return this.#isEncrypted;
  }

  async connect(server: Server, options: SignedOptions): Promise<void> {
    try {
      await Promise.race([this.#connect(server, options), this.#refusal.promise]);
      this.#isConnected = true;
    } catch (error) {
      this.discard();
      const isRefused = (error as { code?: unknown }).code === "ECONNREFUSED";
      throw isRefused ? new errors.ConnectionError("connection refused", { cause: error }) : error;
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    for (;;) {
      const received = this.#received;
      this.#received = [];
      yield* received;
      if (this.#received.length > 0) continue;
      if (this.#isDone) return;
      this.#arrival = Promise.withResolvers();
      await this.#arrival.promise;
    }
  }

  send(frame: Uint8Array): void {
    if (this.#isDone || this.#socket === undefined) return;
    if (this.#unsent.length > 0) this.#unsent.push(frame);
    else this.#write(this.#socket, frame);
  }

  /** Also ends a connection that is being made: the client has waited long enough for it. */
  async close(error?: Error): Promise<void> {
    if (this.#isConnected) this.#finish(error);
    else this.#giveUp(error);
  }

  disconnect(): void {
    void this.close();
  }

  closed(): Promise<Error | undefined> {
    return this.#end.promise;
  }

  discard(): void {
    this.#isDone = true;
    for (const socket of this.#sockets) socket.terminate();
    this.#arrival.resolve();
  }

  async #connect({ hostname, port, tlsName }: Server, options: SignedOptions): Promise<void> {
    const plain = await Bun.connect({ hostname, port, socket: this.#handler() });
    this.#socket = plain;
    this.#sockets = [plain];
    if (this.#isDone) throw new Error("the connection was given up");
    const info = await this.#readInfo();
    checkOptions(info, options);
    if (info.nonce !== undefined) await options.answerChallenge?.(info.nonce);
    const { tls } = options;
    if (tls === null && info.tls_required === true)
      throw new errors.ConnectionError("the server accepts only encrypted connections");
    if (tls === null || (info.tls_required !== true && info.tls_available !== true)) return;
    await this.#encrypt(plain, tlsName || hostname, tls?.ca);
  }

  /** Reads the first line of the server, and keeps it for the client. */
  async #readInfo(): Promise<ServerInfo> {
    for (;;) {
      await this.#arrival.promise;
      const received = Buffer.concat(this.#received);
      const line = extractProtocolMessage(received);
      if (line !== "") {
        this.#infoBytes = Buffer.byteLength(line);
        const info = INFO.exec(line)?.[1];
        if (info === undefined) throw new Error("the server does not speak NATS");
        return JSON.parse(info);
      }
      if (received.length > MAX_INFO_BYTES) throw new Error("the server does not speak NATS");
      this.#arrival = Promise.withResolvers();
    }
  }

  /** The runtime checks the certificate, and whether it is for this name. */
  async #encrypt(plain: Socket<undefined>, name: string, authority: string | undefined): Promise<void> {
    // The client could not tell it from what comes encrypted, and who can change the link can add it.
    if (this.#received.reduce((sum, bytes) => sum + bytes.length, 0) > this.#infoBytes)
      throw new Error("the server sent more than its first line before encryption");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const [, encrypted] = plain.upgradeTLS({
      tls: {
        serverName: name,
        rejectUnauthorized: true,
        ...(authority === undefined ? {} : { ca: authority }),
      },
      socket: {
        ...this.#handler(),
        handshake: (_socket, isTrusted, error) => {
          if (isTrusted) return resolve();
          // The end of the connection is reported next, and is not the reason.
          this.#error = error ?? new Error("the TLS handshake failed");
          reject(this.#error);
        },
      },
    });
    this.#socket = encrypted;
    this.#sockets = [encrypted, plain];
    await promise;
    this.#isEncrypted = true;
  }

  #handler(): SocketHandler<undefined> {
    // After the change to TLS, the first socket still reports the encrypted bytes.
    const isCurrent = (socket: Socket<undefined>) => this.#socket === undefined || this.#socket === socket;
    return {
      binaryType: "uint8array",
      open: (socket) => {
        socket.setNoDelay(true);
      },
      data: (socket, bytes) => {
        if (!isCurrent(socket) || this.#isDone) return;
        this.#received.push(bytes as Uint8Array);
        this.#arrival.resolve();
      },
      drain: (socket) => {
        if (isCurrent(socket)) this.#flush(socket);
      },
      error: (_socket, error) => {
        this.#error ??= error;
      },
      close: (socket, error) => {
        if (isCurrent(socket)) this.#onClose(error);
      },
      end: (socket) => {
        socket.end();
      },
    };
  }

  /** Nothing else would end a socket whose server accepts it and says nothing. */
  #giveUp(error: Error | undefined): void {
    this.#refusal.reject(error ?? new Error("the connection was given up"));
    this.discard();
  }

  #onClose(error: Error | undefined): void {
    this.#refusal.reject(this.#error ?? error ?? new Error("the server closed the connection"));
    this.#finish(error);
  }

  #finish(error: Error | undefined): void {
    // Before that, `connect` reports what happened.
    if (!this.#isConnected || this.#isDone) return;
    this.#error ??= error;
    this.#isDone = true;
    // Not `end`: the runtime would keep the socket until the other end has answered, also after `terminate`.
    if (this.#unsent.length === 0) this.#socket?.shutdown();
    // Where the other end reads nothing any more, as behind a link that was cut, the socket would stay.
    setTimeout(() => this.discard(), LINGER_MS).unref();
    this.#arrival.resolve();
    // The client first reads what has arrived: the server's reason is in its last message.
    setTimeout(() => this.#end.resolve(this.#error));
  }

  #write(socket: Socket<undefined>, frame: Uint8Array): void {
    const count = Math.max(socket.write(frame), 0);
    if (count < frame.length) this.#unsent.unshift(frame.subarray(count));
  }

  #flush(socket: Socket<undefined>): void {
    for (let frame = this.#unsent.shift(); frame !== undefined; frame = this.#unsent.shift()) {
      const before = this.#unsent.length;
      this.#write(socket, frame);
      if (this.#unsent.length > before) return;
    }
  }
}
