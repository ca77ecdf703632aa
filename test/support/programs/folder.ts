import { isOpen } from "../../../src/jobs/model/job.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";

// Opens a ledger again and again, folds its inbox, and changes jobs of the inbox, until it is killed. A job that was
// registered must always be found. Arguments: LEDGER

const [ledgerPath = ""] = process.argv.slice(2);

for (;;) {
  const ledger = new Ledger(ledgerPath, (text) => console.error(text));
  for (let round = 0; round < 5; round++) {
    const open = ledger.openJobs();
    for (const job of open.filter(() => Math.random() < 0.2))
      ledger.addEvent(job, { atMs: Date.now(), kind: "observer_died", detail: {} });
    for (const { key, jobId } of open) {
      const found = ledger.job(key);
      if (found === undefined) console.error(`${jobId} was there, and is gone`);
      else if (!isOpen(found) && ledger.result(found) === undefined)
        console.error(`${jobId} has ended without a result`);
    }
    ledger.foldInbox();
    await Bun.sleep(Math.random() * 10);
  }
  ledger.close();
}
