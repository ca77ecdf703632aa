import type { StateFiles } from "../ledger/location.ts";
import { errnoOf } from "../sys/errno.ts";
import { openSocketPath } from "../sys/unixSocket.ts";
import type { ControlAnswer, ControlRequest } from "./controlSocket.ts";

/**
 * `absent`: no daemon listens. `forbidden`: this user may not ask it. `silent`: it does not answer, or its answer was cut
 * off by its end.
 */
export type NoAnswer = "absent" | "forbidden" | "silent";

const DEFAULT_TIMEOUT_MS = 2000;

/** A snapshot of 500 jobs has 1.3 MB. */
const MAX_ANSWER_LENGTH = 64 * 1024 * 1024;

/** Asks the daemon of a state directory. An answer without an end is `silent`. */
export async function askDaemon(
  { directory, controlSocket }: StateFiles,
  request: ControlRequest,
  timeoutMs = DEFAULT_TIMEOUT_MS,
): Promise<ControlAnswer | NoAnswer> {
  const { promise, resolve } = Promise.withResolvers<ControlAnswer | NoAnswer>();
  const decoder = new TextDecoder();
  let text = "";
  let close = () => {};
  let socket: Bun.Socket | undefined;
  const timeout = setTimeout(resolve, timeoutMs, "silent");
  try {
    const path = openSocketPath(directory, controlSocket);
    close = path.close;
    socket = await Bun.connect({
      unix: path.path,
      socket: {
        data: (_, bytes) => {
          text += decoder.decode(bytes, { stream: true });
          if (text.length > MAX_ANSWER_LENGTH) resolve("silent");
        },
        close: () => resolve(parseAnswer(text)),
        error: () => resolve("silent"),
      },
    });
    socket.write(`${JSON.stringify(request)}\n`);
    return await promise;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "EACCES" || errno === "EPERM") return "forbidden";
    return errno === "ENOENT" || errno === "ENOTDIR" || errno === "ECONNREFUSED" ? "absent" : "silent";
  } finally {
    clearTimeout(timeout);
    socket?.terminate();
    close();
  }
}

function parseAnswer(text: string): ControlAnswer | NoAnswer {
  try {
    return JSON.parse(text) as ControlAnswer;
  } catch {
    return "silent";
  }
}
