import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A link to a server on this machine that can be cut, and that can lose the answers of the server. */
export class CutProxy {
  readonly #target: number;
  readonly #server = createServer((client) => this.#accept(client));
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #losesAnswers = false;

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

  mend(): void {
    this.#isCut = false;
    this.#losesAnswers = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(client: Socket): void {
    if (this.#isCut) {
      client.destroy();
      return;
    }
    const server = connect(this.#target, "127.0.0.1");
    client.pipe(server);
    server.on("data", (chunk) => {
      if (!this.#losesAnswers) client.write(chunk);
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
