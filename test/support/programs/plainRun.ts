import { openContext } from "../../../src/cli/session.ts";
import { recordExit } from "../../../src/jobs/exit/recordExit.ts";
import { type Ending, endingOfStatus } from "../../../src/jobs/model/ending.ts";
import { isOpen } from "../../../src/jobs/model/job.ts";
import {
  type Appended,
  appendResult,
  appendRunning,
  createInboxFile,
  finishInboxFile,
} from "../../../src/ledger/inbox/inboxFile.ts";
import { locateState } from "../../../src/ledger/location.ts";
import { realHost } from "../../../src/linux/host.ts";
import { readIdentity } from "../../../src/linux/proc/identity.ts";
import { bootMsOf } from "../../../src/linux/proc/stat.ts";
import { someResult, someStartingJob } from "../jobs.ts";

// Starts a command without limits and records it in the inbox, as a plain launch of `run` does. Exits with its code.
// Arguments: STATE JOB DELAY_MS COMMAND…; the delay is between the start and its record.

const [state = "", jobId = "", delayMs = "0", ...command] = process.argv.slice(2);
const host = realHost();
const self = identityOf(process.pid);
const job = someStartingJob({ jobId, command, observer: self, createdMs: Date.now(), uid: 0 });
const file = createInboxFile(locateState(state, {}).inbox, { job });
if (typeof file !== "object") throw new Error(`cannot create the file of ${jobId}: ${file}`);

const child = Bun.spawn(command, { detached: true, stdio: ["ignore", "ignore", "ignore"] });
const workload = identityOf(child.pid);
const startedBootMs = bootMsOf(workload.startTicks);
await Bun.sleep(Number(delayMs));
const running = { process: workload, startedMs: Date.now(), startedBootMs, outcomes: [] };
let written: Appended = appendRunning(file, running);
const code = await child.exited;
const ending: Ending = endingOfStatus(code << 8, "parent");
const { startedMs: startMs, startedBootMs: startBootMs } = running;
const times = { startMs, startBootMs, endMs: host.now(), endBootMs: host.bootNow() };
if (written === "written") written = appendResult(file, someResult(job, { ending, ...times }));
if (written !== "written" || !finishInboxFile(file)) {
  const context = openContext({ statePath: state });
  const current = context.ledger.continueFromInbox({ job, running });
  if (isOpen(current)) recordExit(context, current, ending);
  context.ledger.close();
  console.log("continued in the ledger");
}
process.exit(code);

function identityOf(pid: number) {
  const identity = readIdentity(host, pid);
  if (identity === "gone") throw new Error(`process ${pid} is gone`);
  return identity;
}
