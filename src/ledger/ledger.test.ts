import { describe, expect, it } from "bun:test";
import { someJob, someResult } from "../../test/support/jobs.ts";
import { useLedgers } from "../../test/support/ledgers.ts";
import { JobConflict, RELEASED_BY_POLICY } from "./ledger.ts";

const { open } = useLedgers();

describe("a job on record", () => {
  it("reads back as it was written, by another process's eyes", () => {
    const { ledger, directory } = open();
    const job = someJob({
      intent: "live",
      slaEligible: true,
      labels: { node: "edge 1" },
      limits: { cpuMax: { quotaUsec: "max", periodUsec: 1 }, ioMax: [{ device: "8:0", rbps: 1 }] },
      outcomes: [{ limit: "nice", outcome: "applied", wanted: "5", actual: "5" }],
      cgroup: [{ hierarchy: "cpu", path: "/a/b", origin: "/a", enabled: [] }],
      touched: [{ pid: 1, tid: 2, startTicks: 3, value: "nice", before: 0, after: 5 }],
      command: ["ffmpeg", "", "a\nb", "🎬'\"\\"],
    });
    ledger.begin(job);
    expect(open(directory).ledger.job(job.key)).toEqual(job);
  });

  it("changes only in the fields that were named", () => {
    const { ledger } = open();
    const job = someJob({ state: "starting", pid: null, startTicks: null, startedMs: null });
    ledger.begin(job);
    ledger.change(job, { state: "running", pid: 7, startTicks: 8 });
    expect(job).toMatchObject({ state: "running", pid: 7, startedMs: null });
    expect(ledger.job(job.key)).toEqual(job);
  });

  it("keeps its id from others until it has ended", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.begin(first);
    const second = someJob({ pid: 5000 });
    expect(() => ledger.begin(second)).toThrow(JobConflict);
    expect(ledger.job(second.key)).toBeUndefined();
    ledger.end(first, someResult(first));
    ledger.begin(second);
    expect(
      ledger
        .jobsNamed("transcode-001")
        .map(({ state }) => state)
        .sort(),
    ).toEqual(["ended", "running"]);
  });

  it("keeps its process from other jobs while it runs", () => {
    const { ledger } = open();
    ledger.begin(someJob());
    const other = someJob({ jobId: "other", state: "starting", pid: null, startTicks: null });
    ledger.begin(other);
    expect(() => ledger.change(other, { state: "running", pid: 4026, startTicks: 123_456 })).toThrow(
      JobConflict,
    );
    expect(other.state).toBe("starting");
    expect(ledger.job(other.key)?.state).toBe("starting");
    ledger.change(other, { state: "running", pid: 4026, startTicks: 999 });
  });

  it("is known by its process in this boot only", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    expect(ledger.openJobOfProcess(job.bootId, 4026, 123_456)?.key).toBe(job.key);
    expect(ledger.openJobOfProcess(job.bootId, 4026, 123_457)).toBeUndefined();
    expect(ledger.openJobOfProcess("another boot", 4026, 123_456)).toBeUndefined();
  });
});

describe("an observer", () => {
  it("takes a job over only from the one that it saw there", () => {
    const { ledger, directory } = open();
    const job = someJob();
    ledger.begin(job);
    const seenByBoth = open(directory).ledger.job(job.key);
    expect(ledger.takeOver(job, { pid: 1, startTicks: 1 })).toBe(true);
    expect(ledger.takeOver(seenByBoth as typeof job, { pid: 2, startTicks: 2 })).toBe(false);
    expect(ledger.job(job.key)?.observer).toEqual({ pid: 1, startTicks: 1 });
    expect(ledger.takeOver(job, null)).toBe(true);
    expect(ledger.job(job.key)?.observer).toBeNull();
  });

  it("takes over no job that has ended", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const seen = { ...job };
    ledger.end(job, someResult(job));
    expect(ledger.takeOver(seen, { pid: 1, startTicks: 1 })).toBe(false);
  });
});

describe("what a job left in the system", () => {
  it("is a new job's of the same name, so that nobody else clears it away", () => {
    const { ledger } = open();
    const first = someJob();
    ledger.begin(first);
    ledger.end(first, someResult(first));
    expect(ledger.unreleasedJobs().map(({ key }) => key)).toEqual([first.key]);
    const second = someJob();
    ledger.begin(second);
    expect(ledger.unreleasedJobs().map(({ key }) => key)).toEqual([second.key]);
  });
});

describe("events and notes", () => {
  it("come back in their order, with what was said", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    ledger.addEvent(job, 5, "observer_died", {});
    ledger.addEvent(job, 4, "adopted", { because: "a\nb" });
    expect(ledger.events(job)).toEqual([
      { atMs: 5, kind: "observer_died", detail: {} },
      { atMs: 4, kind: "adopted", detail: { because: "a\nb" } },
    ]);
    ledger.setNote("scanned", "yes");
    ledger.setNote("scanned", "again");
    expect(ledger.note("scanned")).toBe("again");
    expect(ledger.note("other")).toBeUndefined();
  });

  it("remember who was released, so that watch does not take it again", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const unknown = { exitCode: null, exitEvidence: null, exitUnknownBecause: "it was alive" };
    ledger.end(job, someResult(job, { ...unknown, ending: "detached" }));
    expect(ledger.wasDetached(job.bootId, 4026, 123_456)).toBe(true);
    expect(ledger.wasDetached(job.bootId, 4026, 1)).toBe(false);
    ledger.addEvent(job, 6, RELEASED_BY_POLICY, {});
    expect(ledger.wasDetached(job.bootId, 4026, 123_456)).toBe(false);
  });

  it("bring a record up to date with what others have changed, and leave what only waits to be written", () => {
    const { ledger } = open();
    const job = someJob();
    ledger.begin(job);
    const ours = structuredClone(job);
    ledger.change(job, { byHand: { pidsMax: 5 }, tenant: "acme", released: false });
    ledger.refresh(ours);
    expect(ours).toEqual(job);
    const unwritten = someJob({ key: "unwritten", tenant: "acme" });
    ledger.refresh(unwritten);
    expect(unwritten.tenant).toBe("acme");
  });
});
