import { Database } from "bun:sqlite";
import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { procTree } from "../../../test/support/procTree.ts";
import { snapshot } from "../../../test/support/strangers.ts";
import { Ledger } from "../../ledger/ledger.ts";
import { locateState } from "../../ledger/location.ts";
import { whyUnusable } from "../../linux/cgroup/findJobCgroup.ts";
import type { Hierarchy } from "../../linux/cgroup/hierarchies.ts";
import { realCgroupFs } from "../../linux/cgroupFs.ts";
import { detach } from "../attach/detach.ts";
import type { Context } from "../context.ts";
import { Refusal } from "../errors.ts";
import { enforceLimits } from "../limits/enforceLimits.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { repairAll } from "./recover.ts";

// A ledger with any content, and directories that stand in for cgroup trees, with files that look like theirs beside
// them: whatever the ledger says, nothing outside of the trees is written, removed or created.

const BOOT_ID = "5c1f5a3e-0000-4000-8000-000000000000";
const FILES = ["cpu.max", "cgroup.procs", "cgroup.subtree_control", "cgroup.controllers", "config"];

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-fuzz-"));
const proc = procTree({ "sys/kernel/random/boot_id": `${BOOT_ID}\n` });
afterAll(() => {
  proc[Symbol.dispose]();
  rmSync(directory, { recursive: true });
});

const outside = join(directory, "outside");
const mounts = { v1: join(directory, "trees/cpu"), v2: join(directory, "trees/unified") };
const hierarchies: Hierarchy[] = [
  { key: "cpu", version: 1, controllers: ["cpu"], mountPoint: mounts.v1, mountRoot: "/" },
  { key: "", version: 2, controllers: ["cpu", "memory"], mountPoint: mounts.v2, mountRoot: "/" },
];

const state = locateState(join(directory, "state"), {});
const ledger = new Ledger(state.ledger, () => {});
const context: Context = {
  host: { procRoot: proc.host.procRoot, cgroupFs: realCgroupFs, now: Date.now, bootNow: Date.now },
  hierarchies,
  ledger,
  state,
  bootId: BOOT_ID,
  self: { bootId: BOOT_ID, pid: 2, startTicks: 1 },
  warn() {},
};
ledger.checkJobs((job) => whyUnusable(hierarchies, job));
const db = new Database(state.ledger);
// Without the triggers, each row stays as it is inserted, and can be deleted.
db.run("DROP TRIGGER results_are_kept; DROP TRIGGER jobs_are_kept; DROP TRIGGER jobs_pass_their_name_on");

function makeCgroup(path: string): void {
  mkdirSync(path, { recursive: true });
  for (const file of FILES) writeFileSync(join(path, file), "");
}

function makeTrees(): void {
  for (const path of [outside, join(directory, "trees")]) rmSync(path, { recursive: true, force: true });
  for (const place of [outside, mounts.v1, mounts.v2]) {
    for (const name of ["", "a", "a/ffrtmp-1f3a9c-job"]) makeCgroup(join(place, name));
    mkdirSync(join(place, "ffrtmp-1f3a9c-empty"));
  }
  for (const mount of Object.values(mounts)) {
    symlinkSync(outside, join(mount, "link"));
    symlinkSync(join(outside, "ffrtmp-1f3a9c-empty"), join(mount, "ffrtmp-1f3a9c-link"));
    symlinkSync(join(outside, "cpu.max"), join(mount, "a/memory.max"));
  }
}

beforeEach(() => {
  makeTrees();
  clearLedger();
});

const path = fc
  .tuple(
    fc.constantFrom(outside, mounts.v1, mounts.v2, "/", "", "relative", directory),
    fc.array(
      fc.constantFrom(
        "..",
        ".",
        "",
        "a",
        "link",
        "ffrtmp-1f3a9c-job",
        "ffrtmp-1f3a9c-empty",
        "ffrtmp-1f3a9c-new",
        "outside",
      ),
      { maxLength: 4 },
    ),
    fc.constantFrom("", "", ...FILES, "memory.max", "ffrtmp-1f3a9c-link"),
  )
  .map(([base, parts, file]) => [base, ...parts, ...(file === "" ? [] : [file])].join("/"));
const hierarchy = fc.constantFrom("cpu", "", "memory");
const text = fc.constantFrom(null, "", "1", "max", "changed");

const change = fc.oneof(
  fc.record({
    kind: fc.constant("cgroup-created"),
    hierarchy,
    path,
    role: fc.constantFrom("job", "tenant", "wrapper-slot", "x"),
  }),
  fc.record({
    kind: fc.constant("controller-enabled"),
    hierarchy,
    path,
    controller: fc.constantFrom("cpu", "../x", "cpu +io"),
  }),
  fc.record({ kind: fc.constant("file-written"), hierarchy, path, before: text, after: text }),
  fc.record({ kind: fc.constant("processes-moved"), hierarchy, from: path, to: path }),
  fc.record({
    kind: fc.constant("attribute-set"),
    attribute: fc.constantFrom("nice", "oom_score_adj", "toString"),
    pid: fc.oneof(fc.constant(5), path),
    tid: fc.constant(5),
    startTicks: fc.constant(100),
    before: fc.constant(0),
    after: fc.constantFrom(0, 1),
  }),
  fc.jsonValue(),
);
const location = fc.oneof(
  fc.record(
    { hierarchy, path, placedAs: fc.constantFrom("in-place", "scope", "child", "x") },
    { requiredKeys: ["hierarchy", "path"] },
  ),
  fc.jsonValue(),
);
const row = fc.record({
  state: fc.constantFrom("starting", "running", "ended"),
  cgroup: fc.oneof(fc.array(location, { maxLength: 3 }), fc.jsonValue()),
  changes: fc.oneof(fc.array(change, { maxLength: 5 }), fc.jsonValue()),
  limits: fc.oneof(fc.constant({}), fc.constant({ memoryMaxBytes: 5, cpuWeight: 7 }), fc.jsonValue()),
  outcomes: fc.oneof(
    fc.constant([]),
    fc.constant([{ limit: "memory.max", outcome: "applied", wanted: "5", actual: "5" }]),
    fc.jsonValue(),
  ),
});

type HostileRow = typeof row extends fc.Arbitrary<infer T> ? T : never;

function insert({ state, cgroup, changes, limits, outcomes }: HostileRow, index: number): void {
  const process = state === "starting" ? null : 5;
  db.query(
    `INSERT INTO jobs (key, job_id, mode, state, boot_id, pid, start_ticks, command, created_ms, started_ms, observer_pid,
      observer_start_ticks, sla_eligible, labels, limits, outcomes, cgroup, changes)
      VALUES (?, ?, 'run', ?, ?, ?, ?, '[]', 0, ?, ?, ?, 0, '{}', ?, ?, ?, ?)`,
  ).run(
    ...[`key-${index}`, `job-${index}`, state, BOOT_ID, process, process && 100 + index],
    ...[process, ...(state === "starting" ? [3, 1] : [null, null])],
    ...[limits, outcomes, cgroup, changes].map((value) => JSON.stringify(value)),
  );
}

function clearLedger(): void {
  db.run("DELETE FROM results; DELETE FROM events; DELETE FROM jobs; DELETE FROM notes");
}

/** Runs what an ffrtmp does by itself and what an operator can ask for. */
function useLedger(): void {
  const jobs = ledger.jobsToCleanUp();
  for (const job of jobs) {
    if (job.state !== "running") continue;
    enforceLimits(context, job, { memoryMaxBytes: 3 });
    try {
      detach(context, job, jobCgroupOf(context, job));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  repairAll(context);
}

test("nothing outside of the cgroup trees changes, whatever a ledger says", () => {
  const before = snapshot(outside);
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 3 }), (rows) => {
      clearLedger();
      rows.forEach(insert);
      useLedger();
      expect(snapshot(outside)).toEqual(before);
    }),
    { numRuns: 200 },
  );
}, 60_000);

test("a usable record is acted on, so that the property above means something", () => {
  const path = `${mounts.v1}/ffrtmp-1f3a9c-empty`;
  const changes = [{ kind: "cgroup-created", hierarchy: "cpu", path, role: "job" }];
  insert({ state: "ended", cgroup: [{ hierarchy: "cpu", path }], changes, limits: {}, outcomes: [] }, 9);
  useLedger();
  expect(Object.keys(snapshot(mounts.v1))).not.toContain(path);
});

test("a record whose cgroup is a file of a cgroup has no cgroup", () => {
  const files = [
    { hierarchy: "cpu", path: `${mounts.v1}/cpu.max` },
    { hierarchy: "", path: `${mounts.v2}/a/cgroup.procs` },
  ];
  files.forEach((location, index) => {
    insert({ state: "starting", cgroup: [location], changes: [], limits: {}, outcomes: [] }, index);
  });
  useLedger();
  expect(ledger.jobsToCleanUp()).toEqual([]);
});
