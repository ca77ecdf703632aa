import { openConnectorSocket, sendToKernel } from "../../sys/connectorSocket.ts";
import { errnoName } from "../../sys/errno.ts";
import { CN_IDX_PROC, encodeIgnore, encodeListen } from "./cnProc.ts";
import { buildProcEventFilter } from "./socketFilter.ts";

const ECONNREFUSED = 111;

/** The netlink socket of the process connector, with the filter of the wanted events installed. */
export class ProcConnector {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  static open(bufferBytes: number): ProcConnector | { reason: string } {
    const opened = openConnectorSocket(CN_IDX_PROC, buildProcEventFilter(), bufferBytes);
    return typeof opened === "number" ? new ProcConnector(opened) : opened;
  }

  /** Requests the events; may be repeated. Returns why the request was not sent. It may still be ignored. */
  listen(): string | undefined {
    for (const message of encodeListen()) {
      const sent = sendToKernel(this.fd, message);
      if (sent === -ECONNREFUSED) {
        return "the process connector does not answer (ECONNREFUSED): it exists only in the initial network namespace, in kernels with CONFIG_PROC_EVENTS";
      }
      if (sent < 0) return `send to the process connector: ${errnoName(sent)}`;
    }
    return undefined;
  }

  /** Turns the events off. Close the socket afterwards, once no thread reads it any more. */
  stopListening(): void {
    sendToKernel(this.fd, encodeIgnore());
  }
}
