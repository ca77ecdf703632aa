import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** The server handles what has arrived late before its connection ends. */
const LATE_MS = 500;

/** A link to a server on this machine that can be cut, that can lose answers, and that can deliver requests late. */
export class CutProxy {
  readonly #target: number;
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #losesAnswers = false;
  #delayMs = 0;
  readonly #held = new Set<Buffer>();

  constructor(target: number) {
    this.#target = target;
    this.#server.listen(0, "127.0.0.1");
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections, and each new one at once until `mend`. What is on its way is lost. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on, what the server sends is lost, until `mend`. The connections stay. */
  loseAnswers(): void {
    this.#losesAnswers = true;
  }

  /** From now on until `mend`, requests arrive this much later, also where their sender is cut off meanwhile. */
  delayRequests(ms: number): void {
    this.#delayMs = ms;
  }

  /** The parts of requests that are on their way. */
  get held(): number {
    return this.#held.size;
  }

  /** Returns whether a request that contains a text is on its way. */
  hasHeld(text: string): boolean {
    return [...this.#held].some((chunk) => chunk.includes(text));
  }

  mend(): void {
    this.#isCut = false;
    this.#losesAnswers = false;
    this.#delayMs = 0;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #deliverLate(server: Socket, chunk: Buffer, ms: number): void {
    this.#held.add(chunk);
    setTimeout(() => {
      server.write(chunk);
      this.#held.delete(chunk);
    }, ms);
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.destroy();
      return;
    }
    const server = connect(this.#target, "127.0.0.1");
    this.#sockets.add(client);
    let longestMs = 0;
    client.on("data", (chunk: Buffer) => {
      longestMs = Math.max(longestMs, this.#delayMs);
      if (longestMs === 0) server.write(chunk);
      else this.#deliverLate(server, chunk, longestMs);
    });
    server.on("data", (chunk) => {
      if (!this.#losesAnswers) client.write(chunk);
    });
    client.on("close", () => {
      this.#sockets.delete(client);
      setTimeout(() => server.destroy(), longestMs && longestMs + LATE_MS);
    });
    server.on("close", () => client.destroy());
    for (const socket of [client, server]) socket.on("error", () => {});
  }
}
