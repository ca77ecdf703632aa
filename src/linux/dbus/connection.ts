import { errnoName } from "../../sys/errno.ts";
import { UnixStream } from "../../sys/unixStream.ts";
import {
  type Call,
  decodeMessage,
  encodeCall,
  HEADER_BYTES,
  messageLength,
  type Received,
} from "./message.ts";
import { MalformedMessage } from "./wire.ts";

/** No answer: an errno such as `ENOENT` or `ETIMEDOUT`, or the reason why what arrived is no answer. */
export class NoAnswer extends Error {}

const MAX_GREETING_BYTES = 4096;

/** A connection to a D-Bus server (dbus-daemon(1), or a program that is its own server), used synchronously. */
export class BusConnection {
  readonly #stream: UnixStream;
  #received = new Uint8Array(0);
  #serial = 0;

  private constructor(stream: UnixStream) {
    this.#stream = stream;
  }

  /**
   * Connects to a socket and authenticates by the credentials of this process (EXTERNAL). `deadline`, in ms of
   * `performance.now()`, is for this and the first call. Throws NoAnswer.
   */
  static open(path: string, deadline: number, uid: number): BusConnection {
    const stream = UnixStream.connect(path, deadline);
    if (typeof stream === "number") throw new NoAnswer(errnoName(stream));
    const connection = new BusConnection(stream);
    try {
      // The specification sends the uid as the hexadecimal form of its decimal digits, after a NUL byte.
      const identity = Buffer.from(String(uid)).toString("hex");
      connection.#send(Buffer.from(`\0AUTH EXTERNAL ${identity}\r\nBEGIN\r\n`));
      // No call may follow before the answer: systemd does not look at a message that it has read with these lines.
      const greeting = connection.#receiveLine();
      if (!greeting.startsWith("OK")) throw new NoAnswer(`authentication refused: ${greeting}`);
      return connection;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  /** Sets the deadline of the next call. */
  set deadline(deadline: number) {
    this.#stream.deadline = deadline;
  }

  /** Sends calls with one write, and returns their answers in the same order. Throws NoAnswer. */
  call(calls: readonly Call[]): Received[] {
    const serials = calls.map(() => ++this.#serial);
    this.#send(Buffer.concat(calls.map((call, index) => encodeCall(serials[index] as number, call))));
    const answers = new Map<number, Received>();
    while (answers.size < calls.length) {
      const message = this.#receive();
      // Signals arrive too, and nothing else that concerns these calls.
      if (message.replySerial !== undefined && message.kind !== "other")
        answers.set(message.replySerial, message);
    }
    return serials.map((serial) => answers.get(serial) as Received);
  }

  close(): void {
    this.#stream.close();
  }

  #send(bytes: Uint8Array): void {
    const result = this.#stream.write(bytes);
    if (result < 0) throw new NoAnswer(errnoName(result));
  }

  #receiveLine(): string {
    for (;;) {
      const end = this.#received.indexOf("\n".charCodeAt(0));
      if (end >= 0) return new TextDecoder().decode(this.#take(end + 1)).trim();
      if (this.#received.length > MAX_GREETING_BYTES) throw new NoAnswer("the server does not speak D-Bus");
      this.#fill();
    }
  }

  #receive(): Received {
    try {
      while (this.#received.length < HEADER_BYTES) this.#fill();
      const length = messageLength(this.#received.subarray(0, HEADER_BYTES));
      while (this.#received.length < length) this.#fill();
      return decodeMessage(this.#take(length));
    } catch (error) {
      if (error instanceof MalformedMessage) throw new NoAnswer(`a malformed message: ${error.message}`);
      throw error;
    }
  }

  #take(length: number): Uint8Array {
    const taken = this.#received.slice(0, length);
    this.#received = this.#received.slice(length);
    return taken;
  }

  #fill(): void {
    const buffer = new Uint8Array(16_384);
    const count = this.#stream.read(buffer);
    if (count < 0) throw new NoAnswer(errnoName(count));
    if (count === 0) throw new NoAnswer("the server closed the connection");
    const joined = new Uint8Array(this.#received.length + count);
    joined.set(this.#received);
    joined.set(buffer.subarray(0, count), this.#received.length);
    this.#received = joined;
  }
}
