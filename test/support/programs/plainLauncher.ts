import { appendFileSync } from "node:fs";
import { isOpen } from "../../../src/jobs/model/job.ts";
import {
  appendResult,
  appendRunning,
  createInboxFile,
  finishInboxFile,
} from "../../../src/ledger/inbox/inboxFile.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { inboxOf, someLaunch } from "../inbox.ts";
import { someProcess } from "../jobs.ts";

// Records launches in the inbox beside a ledger, one after the other, as the lean path of `run` does, until it is killed. What
// it has done is a line of `announcements` after each step. Arguments: LEDGER ANNOUNCEMENTS

const [ledgerPath = "", announcements = ""] = process.argv.slice(2);
const directory = inboxOf(ledgerPath);

for (;;) {
  // PIDs are used again while the test runs.
  const jobId = `plain-${crypto.randomUUID()}`;
  const { job, result, ...launch } = someLaunch({ jobId, observer: someProcess({ pid: process.pid }) });
  const pid = Math.floor(Math.random() * 2 ** 50);
  const running = { ...launch.running, process: someProcess({ pid }) };
  const announce = (step: string) =>
    appendFileSync(announcements, `${JSON.stringify({ key: job.key, step, pid, result })}\n`);
  const file = createInboxFile(directory, { job });
  if (typeof file !== "object") throw new Error(`cannot create the file of ${jobId}: ${file}`);
  announce("registered");
  await Bun.sleep(Math.random() * 8);
  let ledger: Ledger | undefined;
  const inLedger = (facts: Parameters<Ledger["continueFromInbox"]>[0]) => {
    ledger ??= new Ledger(ledgerPath, (text) => console.error(text));
    return ledger.continueFromInbox(facts);
  };
  if (appendRunning(file, running) !== "written") inLedger({ job, running });
  announce("running");
  await Bun.sleep(Math.random() * 8);
  if (ledger !== undefined || appendResult(file, result) !== "written") {
    const ended = inLedger({ job, running, result });
    if (isOpen(ended)) throw new Error(`the result of ${jobId} is not recorded`);
    announce("result");
    (ledger as unknown as Ledger).markCleanedUp(ended);
  } else {
    announce("result");
    if (!finishInboxFile(file)) {
      const ended = inLedger({ job, running, result });
      if (isOpen(ended)) throw new Error(`the result of ${jobId} is not recorded`);
      (ledger as unknown as Ledger).markCleanedUp(ended);
    }
  }
  announce("finished");
  ledger?.close();
}
