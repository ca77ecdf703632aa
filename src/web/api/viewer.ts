/** The events that wait for a viewer. Later ones are left out, and counted. */
const MAX_WAITING = 256;
const MAX_WAITING_BYTES = 256 * 1024;

const ENCODER = new TextEncoder();

/**
 * One client of a stream. The runtime pulls a message when the socket has room for it, so what waits for a client that reads
 * slowly waits here: a number of events, and the latest snapshot instead of all of them.
 */
export class Viewer {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #snapshot: Uint8Array | undefined;
  #missed = 0;
  /** Resolves the pull that waits for a message. */
  #resume: (() => void) | undefined;
  #isClosed = false;
  /** The client has left. */
  #isCancelled = false;

  /** `onClose`: the client has left. */
  constructor(onClose: () => void) {
    this.stream = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          this.#isCancelled = true;
          this.close();
          onClose();
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Adds a message, or counts it where too many wait. */
  send(message: Uint8Array): void {
    const hasRoom =
      this.#missed === 0 &&
      this.#waiting.length < MAX_WAITING &&
      this.#waitingBytes + message.length <= MAX_WAITING_BYTES;
    if (!hasRoom) {
      this.#missed++;
      return;
    }
    this.#waiting.push(message);
    this.#waitingBytes += message.length;
    this.#wake();
  }

  /** Sends a message to a client for which nothing else waits. */
  sendIfIdle(message: Uint8Array): void {
    if (this.#waiting.length === 0 && this.#snapshot === undefined) this.send(message);
  }

  /** Sends a snapshot in place of one that still waits. */
  replaceSnapshot(message: Uint8Array): void {
    this.#snapshot = message;
    this.#wake();
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting.length = 0;
    this.#snapshot = undefined;
    this.#wake();
  }

  #wake(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    let message = this.#next();
    while (message === undefined && !this.#isClosed) {
      await new Promise<void>((resolve) => {
        this.#resume = resolve;
      });
      message = this.#next();
    }
    if (this.#isCancelled) return;
    if (message === undefined) controller.close();
    else controller.enqueue(message);
  }

  /** Events come before the snapshot, which has their consequences. */
  #next(): Uint8Array | undefined {
    const event = this.#waiting.shift();
    if (event !== undefined) {
      this.#waitingBytes -= event.length;
      return event;
    }
    if (this.#missed > 0) {
      const message = `event: missed\ndata: {"events":${this.#missed}}\n\n`;
      this.#missed = 0;
      return ENCODER.encode(message);
    }
    const snapshot = this.#snapshot;
    this.#snapshot = undefined;
    return snapshot;
  }
}
