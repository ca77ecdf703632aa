import { openConnectorSocket, readDroppedMessages, sendToKernel } from "../../sys/connectorSocket.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { errnoName } from "../../sys/errno.ts";
import { CN_IDX_PROC, encodeIgnore, encodeListen } from "./cnProc.ts";
import { buildProcEventFilter } from "./socketFilter.ts";

const ECONNREFUSED = 111;

/** The socket on which the process connector tells its events, and the requests for them. */
export class ProcConnector {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  static open(bufferBytes: number): ProcConnector | { reason: string } {
    const opened = openConnectorSocket(CN_IDX_PROC, buildProcEventFilter(), bufferBytes);
    return "reason" in opened ? opened : new ProcConnector(opened.fd);
  }

  /** Asks for the events; may be repeated. Returns why the request could not be made. That nothing was returned is no proof that events will come. */
  listen(): string | undefined {
    for (const message of encodeListen()) {
      const sent = sendToKernel(this.fd, message);
      if (sent === -ECONNREFUSED) {
        return "the process connector does not answer (ECONNREFUSED): it lives in the initial network namespace only, in kernels with CONFIG_PROC_EVENTS";
      }
      if (sent < 0) return `send to the process connector: ${errnoName(sent)}`;
    }
    return undefined;
  }

  /** To be called first, and `close` when no thread reads any more. */
  stopListening(): void {
    sendToKernel(this.fd, encodeIgnore());
  }

  close(): void {
    closeFd(this.fd);
  }

  /** Events lost since the line was opened, for want of room. */
  dropped(): number | null {
    return readDroppedMessages(this.fd);
  }
}
