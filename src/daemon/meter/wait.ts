import { dropCapabilities, findUnneededCapabilities, meterCapabilities } from "../../sys/capabilities.ts";
import { waitForInput } from "../../sys/childWait.ts";
import { readWordsFile } from "../../sys/files.ts";
import { endWithParent, executeAgain, exitNow } from "../../sys/ownProcess.ts";
import { writeSome } from "../../sys/pipe.ts";
import type { MeterAnswer } from "./protocol.ts";

const [STDIN, STDOUT] = [0, 1];
/** The cause of a further start: this process has given up capabilities, or the daemon has no job any more. */
const RESTARTED = "FFRTMP_METER_RESTARTED";
type Cause = "rights" | "rest";

const NOTHING: MeterAnswer = { readings: [], devices: null, warnings: [] };

/**
 * Waits for the first request, with nothing loaded that reads or computes: beside a daemon without jobs, the meter takes
 * no time and hardly any memory. Gives up the capabilities that it does not need before. Ends the process when the daemon
 * has ended before there was a request.
 */
export function waitForFirstRequest(): void {
  endWithParent();
  const cause = process.env[RESTARTED] as Cause | undefined;
  delete process.env[RESTARTED];
  const needed = meterCapabilities();
  const hasMore = cause === undefined && findUnneededCapabilities(needed) !== 0n;
  if (hasMore && dropCapabilities(needed) === undefined) restart("rights");
  // The answer to the request before: the daemon sends no other one until then, which this process could have read already.
  if (cause === "rest") writeSome(STDOUT, new TextEncoder().encode(`${JSON.stringify(NOTHING)}\n`));
  if (!waitForInput(STDIN)) exitNow(0);
}

/** Starts this program again, so that it holds nothing of the jobs that have ended. Returns if that is not possible. */
export function startAgain(): void {
  restart("rest");
}

function restart(cause: Cause): void {
  const environment = [
    ...readWordsFile("/proc/self/environ").filter((word) => !startsWith(word, RESTARTED)),
    new TextEncoder().encode(`${RESTARTED}=${cause}`),
  ];
  executeAgain(readWordsFile("/proc/self/cmdline"), environment);
}

function startsWith(word: Uint8Array, name: string): boolean {
  return new TextDecoder("latin1").decode(word).startsWith(`${name}=`);
}
