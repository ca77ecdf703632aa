import { checkEligibility } from "../../jobs/attach/eligibility.ts";
import type { Context } from "../../jobs/context.ts";
import { Refusal } from "../../jobs/errors.ts";
import type { OpenJob } from "../../jobs/model/job.ts";
import { findActiveDaemon } from "../../jobs/recovery/recover.ts";
import type { ReturnedJson } from "../../json/jobChangeSchemas.ts";
import type { ProcessIdentity } from "../../linux/proc/identity.ts";
import type { JobFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { openContext } from "../session.ts";

/** A daemon decides within milliseconds, unless the process delays what the policy asks about it. */
const ANSWER_TIMEOUT_MS = 2000;
const POLL_MS = 10;

const ALLOWED_FLAGS = ["pid", "policy", "placement", "statePath", "json"];

/**
 * Lets the policy decide again about a process that `detach` has released. A running daemon notices that in the ledger and
 * decides at once; without one, the next daemon decides.
 */
export async function attachByPolicy(flags: JobFlags & { pid?: number }): Promise<number> {
  const { pid } = flags;
  const others = Object.keys(flags).filter((name) => !ALLOWED_FLAGS.includes(name));
  if (pid === undefined) throw new Refusal("--policy needs a process", "ffrtmp attach --policy --pid N");
  if (others.length > 0 || flags.placement !== "auto")
    throw new Refusal(
      "--policy gives a process back to the policy, which decides about everything else",
      `ffrtmp attach --policy --pid ${pid}, or ffrtmp attach --pid ${pid} … to govern it by hand`,
    );
  const context = openContext(flags);
  const process = requireUngoverned(context, pid);
  const { ledger, host, state } = context;
  const wasDetached = ledger.returnToPolicy(process, { atMs: host.now(), atBootMs: host.bootNow() });
  if (ledger.flush() > 0) {
    ledger.close();
    throw new Refusal(
      `process ${pid} is still left alone: that it is not could not be recorded`,
      "make the ledger writable, and run the same command again",
    );
  }
  const daemon = wasDetached ? findActiveDaemon(context) : undefined;
  const job = daemon && (await waitForJob(context, process));
  const explain = `To see how it decides: ffrtmp policy explain --pid ${pid}`;
  const answer: ReturnedJson = { pid, was_detached: wasDetached, job_id: job?.jobId ?? null };
  if (flags.json) printJson(answer);
  else if (job) printOut(`process ${pid} is governed by the policy again, as job ${job.jobId}`);
  else if (!wasDetached)
    printOut(`process ${pid} was not detached: the policy decides about it anyway. ${explain}`);
  else if (daemon)
    printOut(
      `process ${pid} is the policy's again, and ffrtmp watch (PID ${daemon.pid}) does not govern it. ${explain}`,
    );
  else
    printOut(
      `process ${pid} is the policy's again. No ffrtmp watch uses ${state.directory}: the next one decides`,
    );
  ledger.close();
  return 0;
}

function requireUngoverned(context: Context, pid: number): ProcessIdentity {
  const found = checkEligibility(context, pid, "explicit");
  if (found.eligible) return { bootId: context.bootId, pid, startTicks: found.stat.startTicks };
  const message =
    found.code === "gone"
      ? `${found.process} does not exist`
      : `cannot give ${found.process} back: ${found.reason}`;
  throw new Refusal(
    message,
    found.code === "governed" ? `ffrtmp detach ${pid}, and then the same again` : found.hint,
  );
}

async function waitForJob({ ledger }: Context, process: ProcessIdentity): Promise<OpenJob | undefined> {
  const deadline = performance.now() + ANSWER_TIMEOUT_MS;
  for (;;) {
    const job = ledger.openJobOfProcess(process);
    if (job?.state === "running" || performance.now() > deadline) return job;
    await Bun.sleep(POLL_MS);
  }
}
