import { constants, openSync } from "node:fs";
import { syscall } from "../../sys/libc.ts";
import { writeIfRoom } from "../../sys/output.ts";

const EINTR = 4;
const EAGAIN = 11;
/** The longest wait of the last text for a terminal that does not read. */
const LAST_WAIT_MS = 500;
const LAST_POLL_MS = 10;

/** `full`: the terminal reads no more, or not yet. `gone`: it was closed. */
export type Written = "written" | "full" | "gone";

/**
 * Writes to the terminal on stdout without waiting for it: a terminal that stops reading must not stop the keys, nor the
 * signals that end the program. What it has not read of one text is kept, and no later text before that is written.
 */
export class TerminalOutput {
  /** A file of its own: O_NONBLOCK on stdout would be that of the shell, too. `undefined`: it cannot be opened again. */
  readonly #fd: number | undefined = openAgain();
  #rest: Uint8Array = new Uint8Array();

  write(text: string): Written {
    const room = this.flush();
    if (room !== "written") return room;
    this.#rest = new TextEncoder().encode(text);
    return this.flush();
  }

  /** Writes what is left of the last text. */
  flush(): Written {
    while (this.#rest.length > 0) {
      const result = this.#writeSome(this.#rest);
      if (result === -EINTR) continue;
      if (result === -EAGAIN) return "full";
      if (result < 0) return "gone";
      this.#rest = this.#rest.subarray(result);
    }
    return "written";
  }

  /** Writes the last text, for which it waits a moment. */
  writeLast(text: string): void {
    const endMs = performance.now() + LAST_WAIT_MS;
    while (this.write(text) === "full" && performance.now() < endMs) Bun.sleepSync(LAST_POLL_MS);
  }

  #writeSome(bytes: Uint8Array): number {
    return this.#fd === undefined
      ? writeIfRoom(1, bytes, 0)
      : syscall("write", this.#fd, bytes, bytes.length);
  }
}

function openAgain(): number | undefined {
  try {
    return openSync("/proc/self/fd/1", constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
}
