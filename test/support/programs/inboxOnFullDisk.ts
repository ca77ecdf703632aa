import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { appendResult, appendRunning, createInboxFile } from "../../../src/ledger/inbox/inboxFile.ts";
import { Ledger } from "../../../src/ledger/ledger.ts";
import { inboxNames, inboxOf, someLaunch } from "../inbox.ts";

// Records launches in a state directory on a small file system of its own, while that is full, and prints what it finds as
// JSON. Arguments: STATE

const [state = ""] = process.argv.slice(2);
const path = join(state, "ledger.db");
const filler = join(state, "filler");
const messages: string[] = [];
const facts: Record<string, unknown> = {};
const ledger = new Ledger(path, (text) => messages.push(text));
ledger.setNote("name", "value");

/** Takes the last byte of the file system. */
function fill(): void {
  for (let index = 0; ; index++) {
    try {
      writeFileSync(`${filler}-${index}`, Buffer.alloc(4096, 1));
    } catch {
      return;
    }
  }
}

function makeRoom(): void {
  for (const name of readdirSync(state).filter((each) => each.startsWith("filler")))
    rmSync(join(state, name));
}

const launch = someLaunch();
const file = createInboxFile(inboxOf(path), launch);
if (typeof file !== "object") throw new Error(`cannot create the file: ${file}`);
fill();
const refused = createInboxFile(inboxOf(path), someLaunch());
facts["createdOnFullDisk"] = typeof refused === "object" ? "created" : refused;
// The file's last page has room for one line more, or not for a long one.
const outcomes = Array.from({ length: 200 }, () => ({
  limit: "nice",
  outcome: "applied",
  wanted: "5",
  actual: "5",
}));
facts["appended"] = appendRunning(file, { ...launch.running, outcomes: outcomes as never });
facts["namesOnFullDisk"] = inboxNames(path);
// The process continues in the ledger, whose changes wait in memory.
const { job, running, result } = launch;
facts["continued"] = ledger.continueFromInbox({ job, running }).state;
facts["waiting"] = ledger.flush() > 0;
facts["found"] = ledger.openJobs().map(({ jobId, state }) => ({ isSame: jobId === job.jobId, state }));
facts["seenByOthers"] = new Ledger(path, () => {}, "read").openJobs().map((each) => each.state);
makeRoom();
facts["flushed"] = ledger.flush();
facts["resultWritten"] = appendResult(file, result);
facts["ended"] = ledger.continueFromInbox({ job, running, result }).state;
facts["seenAtLast"] = new Ledger(path, () => {}, "read").history(10).map((each) => each.job.process?.pid);
facts["pid"] = running.process.pid;
facts["namesAtLast"] = inboxNames(path);
facts["messages"] = messages;
console.log(JSON.stringify(facts));
