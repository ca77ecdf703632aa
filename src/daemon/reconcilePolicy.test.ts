import { expect, test } from "bun:test";
import { appendFileSync } from "node:fs";
import { factsOf } from "../../test/support/facts.ts";
import { type FakeOwner, useGovernedFakes } from "../../test/support/governedFakes.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { loadPolicy } from "../policy/file/loadPolicy.ts";
import type { FactsOfJob } from "../policy/procFacts.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { decideAgain, type Occasion, type Reconciliation, reconcileJob } from "./reconcilePolicy.ts";

const { openOwner } = useGovernedFakes();
const OWNER = "/system.slice/encoder.service";

function governed(): FakeOwner & { job: RunningJob } {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.start(4027, 1);
  return { ...machine, job: machine.govern(4026, { pidsMax: 64 }) };
}

/** Reconciles the job, an ffmpeg that is a minute old. Returns the outcome and the cgroups that the policy got. */
async function reconcile(
  { context, job }: { context: FakeOwner["context"]; job: RunningJob },
  text: string,
  occasion: Occasion,
): Promise<{ result: Reconciliation; cgroups: readonly string[] }> {
  const loaded = loadPolicy(text, "policy.yaml");
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  const { reader, slowReader, cgroups } = recordingReaders();
  const daemon = { ...context, store: loaded, reader, slowReader } as unknown as DaemonContext;
  const decision = await decideAgain(daemon, job);
  const result = decision && reconcileJob(daemon, job, occasion, decision);
  return { result, cgroups };
}

/** Returns readers of an ffmpeg that is a minute old, and the cgroups that they are given for it. */
function recordingReaders() {
  const cgroups: string[] = [];
  const reader = {
    of(_stat: unknown, known: FactsOfJob) {
      const own = [...known.membership.values()];
      cgroups.push(...own);
      return factsOf({ isGoverned: known.isGoverned, cgroups: own });
    },
  };
  return { reader, slowReader: { read: async () => undefined }, cgroups };
}

const STILL = "default_limits: {pids_max: 64}";

test("a job that the policy no longer asks for is released at a reload, and kept at the start of a daemon", async () => {
  const machine = governed();
  expect((await reconcile(machine, "target_commands: [other]", "start")).result).toMatchObject({
    kind: "job-kept-by-policy",
  });
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("running");
  expect((await reconcile(machine, "target_commands: [other]", "reload")).result).toMatchObject({
    kind: "job-released-by-policy",
  });
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("ended");
  expect(machine.fake.membership(4026).get("")).toBe(OWNER);
});

test("a job that a rule ignores is released at the start of a daemon too, and may be governed again", async () => {
  const machine = governed();
  const { ledger, bootId } = machine.context;
  expect(
    (await reconcile(machine, "rules: [{name: off, match: {}, ignore: true}]", "start")).result,
  ).toMatchObject({
    kind: "job-released-by-policy",
  });
  expect(ledger.events(machine.job).map(({ kind }) => kind)).toContain("released_by_policy");
  expect(ledger.wasDetached({ bootId, pid: 4026, startTicks: 100 })).toBeFalse();
});

test("a job whose PID was reused is left to the observer that records its end", async () => {
  const machine = governed();
  machine.reuse(4026);
  expect((await reconcile(machine, "target_commands: [other]", "reload")).result).toBeUndefined();
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("running");
});

test("a governed process is decided on by the cgroups that it came from, and at any age", async () => {
  const machine = governed();
  const { result, cgroups } = await reconcile(machine, `${STILL}\nfilters: {max_runtime: 1s}`, "reload");
  expect({ result, cgroups }).toEqual({ result: undefined, cgroups: [OWNER] });
});

test("a job is decided on by its cgroups in other hierarchies too, which may be its scheduler's", async () => {
  const machine = governed();
  const file = `${machine.context.host.procRoot}/4026/cgroup`;
  const step = "/slurm/uid_0/job_17/step_0";
  appendFileSync(file, `5:freezer:${step}\n`);
  const { cgroups } = await reconcile(machine, STILL, "reload");
  expect(cgroups.toSorted()).toEqual([step, OWNER]);
});

test("other limits are applied, and equal limits are not written again", async () => {
  const machine = governed();
  expect((await reconcile(machine, STILL, "reload")).result).toBeUndefined();
  expect((await reconcile(machine, "default_limits: {pids_max: 32}", "reload")).result).toMatchObject({
    kind: "job-changed-by-policy",
    job: { outcomes: [{ limit: "pids.max", actual: "32" }] },
  });
});

test("another rule that asks for the same is recorded, and says so", async () => {
  const machine = governed();
  const { ledger } = machine.context;
  // The job is of an earlier release, which did not record it.
  expect((await reconcile(machine, STILL, "reload")).result).toBeUndefined();
  const job = ledger.job(machine.job.key) as RunningJob;
  expect(job.decidedBy).toBe("target_commands");
  const rule = `${STILL}\nrules: [{name: live, match: {}}]`;
  expect((await reconcile({ ...machine, job }, rule, "reload")).result).toMatchObject({
    kind: "job-changed-by-policy",
    job: { decidedBy: "rule live", outcomes: job.outcomes },
    isChosenOnly: true,
  });
  expect(ledger.job(job.key)).toMatchObject({ decidedBy: "rule live" });
});

test("a reload loosens no limit that was set by hand", async () => {
  const machine = governed();
  const job = changeLimits(machine.context, machine.job, { byHand: { pidsMax: 20 } }, "by hand");
  expect(
    (await reconcile({ ...machine, job }, "default_limits: {pids_max: 500}", "reload")).result,
  ).toMatchObject({
    kind: "job-changed-by-policy",
    job: { outcomes: [{ limit: "pids.max", actual: "20" }] },
  });
});

test("a change by hand keeps the recorded outcome of the tenant's total", async () => {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.start(4027, 1);
  const tenant = { name: "acme", limits: { pidsMax: 100 } };
  const governed = machine.govern(4026, { pidsMax: 64 }, { tenant });
  const job = changeLimits(machine.context, governed, { byHand: { pidsMax: 20 } }, "by hand");
  expect(job.outcomes).toMatchObject([
    { limit: "pids.max", actual: "20" },
    { limit: "pids.max", of: "tenant", actual: "100" },
  ]);
});
