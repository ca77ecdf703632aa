import { expect, test } from "bun:test";
import { useDocuments } from "../../test/support/documents.ts";
import { someJob, someProcess, someResult, someStartingJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import type { JobResult } from "../jobs/model/ending.ts";
import { API_DOCUMENTS } from "../json/apiDocuments.ts";
import { parsePlace } from "../json/pages.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { UNKNOWN_COUNTERS } from "../limits/counters.ts";
import { encodeHistory, type StoredHistory } from "../metrics/history/encoding.ts";
import { COUNTS, GAUGES, type Point } from "../metrics/history/points.ts";

const open = useDocuments();

/** Checks a document by its schema, and returns it. */
function checked<Document>(path: string, document: Document): Document {
  expect(API_DOCUMENTS[path]?.safeParse(document).error?.message).toBeUndefined();
  return document;
}

function recordEnded(ledger: Ledger, jobId: string, different: Partial<JobResult> = {}) {
  const pid = 5000 + ledger.countEnded(1000);
  const job = someJob({ jobId, process: someProcess({ pid }) });
  ledger.register(job);
  ledger.recordResult(job, someResult(job, different));
  return job;
}

const NO_GAUGES = Object.fromEntries(GAUGES.map((name) => [name, null])) as Point["gauges"];

function historyOf(points: number): StoredHistory {
  const point = (n: number): Point => ({
    ...{ startMs: 1000 * n, endMs: 1000 * n + 1000, gauges: NO_GAUGES },
    counts: Object.fromEntries(COUNTS.map((name) => [name, 1])) as Point["counts"],
  });
  return {
    pointMs: 1000,
    points: Array.from({ length: points }, (_, n) => point(n)),
    last: { atBootMs: 1000 * points, counters: UNKNOWN_COUNTERS },
    at: { wallMs: 1_790_000_000_000, bootMs: 1_000_000 },
  };
}

test("the pages of the history have each job once, also jobs that ended in the same ms", () => {
  const { documents, ledger } = open();
  const ids = Array.from({ length: 23 }, (_, n) => `ended-${n}`);
  for (const [n, jobId] of ids.entries()) recordEnded(ledger, jobId, { endMs: 1000 + Math.floor(n / 5) });
  const seen: string[] = [];
  let before: ReturnType<typeof parsePlace>;
  do {
    const page = checked("/api/v1/history", documents.history({ limit: 4, before }));
    seen.push(...page.results.map(({ job_id }) => job_id));
    before = page.next === null ? undefined : parsePlace(page.next);
  } while (before !== undefined);
  expect(seen.toSorted()).toEqual(ids.toSorted());
  expect(seen[0]).toBe("ended-22");
});

test("violations are the jobs of the history for which the platform did not do its part", () => {
  const { documents, ledger } = open();
  recordEnded(ledger, "kept");
  recordEnded(ledger, "broken", { slaCompliant: false, slaReason: "limits_not_applied(cpu.max)" });
  const page = checked("/api/v1/violations", documents.history({ limit: 10, onlyViolations: true }));
  expect(page.results.map(({ job_id }) => job_id)).toEqual(["broken"]);
  expect(page.next).toBeNull();
});

test("the pages of the events have each event once, with its job", () => {
  const { documents, ledger } = open();
  const job = recordEnded(ledger, "seen");
  ledger.addDaemonEvent("daemon_started", { pid: 1 }, 10);
  for (let n = 0; n < 5; n++) ledger.addEvent(job, { atMs: 20 + n, kind: "observer_died", detail: {} });
  const first = checked("/api/v1/events", documents.events({ limit: 4 }));
  expect(first.events.map(({ job_id }) => job_id)).toEqual(Array(4).fill("seen"));
  const second = checked("/api/v1/events", documents.events({ limit: 4, before: Number(first.next) }));
  expect(second.events).toMatchObject([
    { kind: "observer_died", job_id: "seen" },
    { kind: "daemon_started", job_id: null },
  ]);
  expect(second.next).toBeNull();
});

test("a running job has its last reading, its histories and its timeline", () => {
  const { documents, ledger, views, rings } = open();
  const job = someJob({ jobId: "live-1" });
  ledger.register(job);
  ledger.addEvent(job, { atMs: job.startedMs + 5, kind: "handed_over", detail: { observer_pid: 7 } });
  views.push({ job, use: someUse(job, {}), cores: [0.5] });
  Object.assign(rings, { life: historyOf(360), tenMinutes: historyOf(30) });
  const shown = checked("/api/v1/jobs/:job_id", documents.job("live-1", 90));
  expect(shown).toMatchObject({ state: "running", result: null, processes: [1], cpu_history: [0.5] });
  expect(shown?.usage_history?.points).toHaveLength(90);
  expect(shown?.usage_history?.point_seconds).toBe(4);
  expect(shown?.usage_last_10_minutes?.points).toHaveLength(30);
  expect(shown?.usage_last_6_hours).toBeNull();
  expect(shown?.timeline.map(({ kind }) => kind)).toEqual(["registered", "started", "handed_over"]);
});

test("a job that has ended has what it used at its end, and the history in the ledger", () => {
  const { documents, ledger } = open();
  recordEnded(ledger, "twice", { endMs: 1_700_000_000_500 });
  const job = recordEnded(ledger, "twice");
  ledger.recordUsageHistory(job, encodeHistory(historyOf(10)));
  const shown = checked("/api/v1/jobs/:job_id", documents.job("twice", 360));
  expect(shown).toMatchObject({
    ...{ state: "ended", outcome: "succeeded", use: null, media: null, processes: [] },
    result: { end_time: "2023-11-14T22:13:32.010Z" },
  });
  expect(shown?.usage_history?.points).toHaveLength(10);
  expect(shown?.timeline.at(-1)).toMatchObject({ kind: "ended", detail: { exit_code: 0 } });
});

test("a job that is starting is shown without a use, and an unknown one not at all", () => {
  const { documents, ledger } = open();
  ledger.register(someStartingJob({ jobId: "new" }));
  expect(checked("/api/v1/jobs/:job_id", documents.job("new", 360))).toMatchObject({
    ...{ state: "starting", pid: null, use: null },
    timeline: [{ kind: "registered" }],
  });
  expect(documents.job("nobody", 360)).toBeUndefined();
});

test("the policy is shown with its sections, what is refused, and without secrets", () => {
  const { documents, views, store } = open();
  const written = new Map([
    ["", new Map([["on_end", "[/usr/bin/notify, --token, s3cr3t-token]"]])],
    ["rule live", new Map([["match.env.STREAM_KEY", "s3cr3t-key"]])],
    ["tenant acme", new Map([["cpu_quota", "300"]])],
  ]);
  const onEnd = { command: ["/usr/bin/notify", "--token", "s3cr3t-token"], timeoutMs: 1000 };
  Object.assign(store, { path: "/etc/ffrtmp/policy.yaml", faults: ["line 3: no"], warnings: ["odd"] });
  store.policy = { ...store.policy, written, onEnd, defaults: { pidsMax: 100 } };
  const refused = { limit: "io.max", outcome: "refused", wanted: "8:0 rbps=1", because: "EACCES" } as const;
  views.push({ job: someJob({ jobId: "live-1", outcomes: [refused] }), use: undefined, cores: [] });
  const policy = checked("/api/v1/policy", documents.policy());
  expect(policy).toMatchObject({
    ...{ path: "/etc/ffrtmp/policy.yaml", is_valid: false, faults: ["line 3: no"], warnings: ["odd"] },
    ...{ target_commands: ["ffmpeg"], default_limits: [{ limit: "pids.max", wanted: "100" }] },
    rules: [{ name: "live", settings: { "match.env.STREAM_KEY": "***" } }],
    tenants: [{ name: "acme", settings: { cpu_quota: "300" } }],
    limits_refused: [{ job_id: "live-1", limit: "io.max", because: "EACCES" }],
    limits_refused_count: 1,
  });
  expect(JSON.stringify(policy)).not.toContain("s3cr3t");
});

test("however many ask within 0.9 s, one snapshot is made", () => {
  const { documents, views, advance } = open();
  const text = documents.snapshot();
  checked("/api/v1/snapshot", JSON.parse(text));
  views.push({ job: someJob(), use: undefined, cores: [] });
  advance(900);
  expect(documents.snapshot()).toBe(text);
  expect(checked("/api/v1/jobs", JSON.parse(documents.jobs()))).toMatchObject({ jobs: [] });
  advance(1);
  expect(JSON.parse(documents.jobs())).toMatchObject({ jobs: [{ job_id: "transcode-001" }] });
});

test("a snapshot has the last ends as soon as they are recorded", () => {
  const { documents, ledger, advance, bus } = open();
  const endedIn = () => JSON.parse(documents.snapshot()).ended.map((each: { job_id: string }) => each.job_id);
  expect(endedIn()).toEqual([]);
  const job = recordEnded(ledger, "first");
  bus.emit({ kind: "job-ended", job, result: someResult(job) });
  advance(1000);
  expect(endedIn()).toEqual(["first"]);
});
