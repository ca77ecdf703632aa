import { expect, test } from "bun:test";
import { factsOf } from "../../test/support/facts.ts";
import { type FakeOwner, useGovernedFakes } from "../../test/support/governedFakes.ts";
import { changeLimits } from "../jobs/limits/changeLimits.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { loadPolicy } from "../policy/file/loadPolicy.ts";
import type { FactReader } from "../policy/procFacts.ts";
import { type Adjustment, adjustJob } from "./reconcilePolicy.ts";

const { openOwner } = useGovernedFakes();
const OWNER = "/system.slice/encoder.service";

function governed(): FakeOwner & { job: RunningJob } {
  const machine = openOwner();
  machine.start(4026, 1);
  machine.start(4027, 1);
  return { ...machine, job: machine.govern(4026, { pidsMax: 64 }) };
}

/** What becomes of the job, an ffmpeg that is a minute old, and in which cgroups it was said to be. */
function adjust(
  { context, job }: { context: FakeOwner["context"]; job: RunningJob },
  text: string,
  occasion: "start" | "reload",
): { adjustment: Adjustment; cgroups: readonly string[] } {
  const loaded = loadPolicy(text, "policy.yaml");
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  let cgroups: readonly string[] = [];
  const reader = {
    of(_stat: unknown, known: { isGoverned: boolean; cgroups: string[] }) {
      cgroups = known.cgroups;
      return factsOf(known);
    },
  } as unknown as FactReader;
  return { adjustment: adjustJob(context, loaded.policy, reader, job, occasion), cgroups };
}

const STILL = "default_limits: {pids_max: 64}";

test("what no rule speaks of any more is released at a reload, and kept at the start of a daemon", () => {
  const machine = governed();
  expect(adjust(machine, "target_commands: [other]", "start").adjustment).toMatchObject({ did: "kept" });
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("running");
  expect(adjust(machine, "target_commands: [other]", "reload").adjustment).toMatchObject({ did: "released" });
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("ended");
  expect(machine.fake.membership(4026).get("")).toBe(OWNER);
});

test("what a rule ignores is released at the start of a daemon, too, and may be taken up again", () => {
  const machine = governed();
  const { ledger, bootId } = machine.context;
  expect(adjust(machine, "rules: [{name: off, match: {}, ignore: true}]", "start").adjustment).toEqual({
    did: "released",
  });
  expect(ledger.events(machine.job).map(({ kind }) => kind)).toContain("released_by_policy");
  expect(ledger.wasDetached({ bootId, pid: 4026, startTicks: 100 })).toBeFalse();
});

test("a job whose pid another process has is left to whoever records its end", () => {
  const machine = governed();
  machine.reuse(4026);
  expect(adjust(machine, "target_commands: [other]", "reload").adjustment).toMatchObject({ did: "same" });
  expect(machine.context.ledger.job(machine.job.key)?.state).toBe("running");
});

test("a governed process is judged as one: by where it came from, and at any age", () => {
  const machine = governed();
  const { adjustment, cgroups } = adjust(machine, `${STILL}\nfilters: {max_runtime: 1s}`, "reload");
  expect({ adjustment, cgroups }).toEqual({ adjustment: { did: "same" }, cgroups: [OWNER] });
});

test("other limits are changed, the same ones not touched", () => {
  const machine = governed();
  expect(adjust(machine, STILL, "reload").adjustment).toMatchObject({ did: "same" });
  expect(adjust(machine, "default_limits: {pids_max: 32}", "reload").adjustment).toMatchObject({
    did: "changed",
    job: { outcomes: [{ limit: "pids.max", actual: "32" }] },
  });
});

test("a reload loosens no limit that was set by hand", () => {
  const machine = governed();
  const job = changeLimits(machine.context, machine.job, { byHand: { pidsMax: 20 } }, "by hand");
  expect(adjust({ ...machine, job }, "default_limits: {pids_max: 500}", "reload").adjustment).toMatchObject({
    did: "changed",
    job: { outcomes: [{ limit: "pids.max", actual: "20" }] },
  });
});

test("a change by hand leaves what is known of the tenant's total", () => {
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
