import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { someJob, someResult } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";

const { open } = useLedgers();

test("the history of a job is replaced by each later one", () => {
  const { ledger, directory } = open();
  const job = someJob();
  ledger.register(job);
  expect(ledger.usageHistory(job)).toBeUndefined();
  expect(ledger.recordUsageHistory(job, new Uint8Array([1, 2]))).toBe("recorded");
  expect(ledger.recordUsageHistory(job, new Uint8Array([3]))).toBe("recorded");
  expect(open(directory).ledger.usageHistory(job)).toEqual(new Uint8Array([3]));
});

test("the times in which a job was held back are kept beside its history, and in its result", () => {
  const { ledger, directory } = open();
  const job = someJob();
  ledger.register(job);
  expect(ledger.hinderedTimes(job)).toBeUndefined();
  ledger.recordUsageHistory(job, new Uint8Array([1]));
  expect(ledger.hinderedTimes(job)).toBeUndefined();
  const times = { secondsBy: { own_limit: 41.3 }, starvedSeconds: 41.3 };
  ledger.recordUsageHistory(job, new Uint8Array([2]), times);
  ledger.recordResult(job, someResult(job, { hinderedSeconds: times.secondsBy }));
  const later = open(directory).ledger;
  expect(later.hinderedTimes(job)).toEqual(times);
  expect(later.result(job)?.hinderedSeconds).toEqual(times.secondsBy);
});

test("a history without a job is not recorded", () => {
  expect(open().ledger.recordUsageHistory(someJob(), new Uint8Array([1]))).toBe("no such job");
});

test("while the file is locked a history waits in no memory, and the changes of jobs keep their order", () => {
  const { ledger, path, messages } = open();
  const job = someJob();
  ledger.register(job);
  const holder = new Database(path);
  holder.run("BEGIN IMMEDIATE");
  expect(ledger.recordUsageHistory(job, new Uint8Array([1]))).toBe("not writable");
  expect(messages).toEqual([]);
  ledger.addEvent(job, { atMs: 1, kind: "observer_died", detail: {} });
  // Behind that change, which waits.
  expect(ledger.recordUsageHistory(job, new Uint8Array([2]))).toBe("not writable");
  holder.run("ROLLBACK");
  holder.close();
  expect(ledger.recordUsageHistory(job, new Uint8Array([3]))).toBe("recorded");
  expect(ledger.events(job)).toHaveLength(1);
  expect(ledger.usageHistory(job)).toEqual(new Uint8Array([3]));
}, 60_000);
