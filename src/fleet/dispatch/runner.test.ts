import { expect, test } from "bun:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { createSigningKey } from "../keys/signingKey.ts";
import { attemptId, type JobBody } from "../messages/job.ts";
import { type SignedDocument, signDocument } from "../messages/signed.ts";
import { type AttemptLedger, type Fate, LedgerTrouble, type RunEnd, Runner } from "./runner.ts";
import type { AttemptName, ClaimRecord, RunnerRecord } from "./spool.ts";
import { parseTemplate } from "./template.ts";
import type { StartPlan } from "./verify.ts";

/** Signing takes milliseconds, and thousands of machines have the same jobs. */
const signed = new Map<string, SignedDocument>();
const [key, stranger] = [createSigningKey(), createSigningKey()];
const NOW_MS = Date.parse("2026-11-28T12:00:00Z");
const parsed = parseTemplate(
  stringify({
    command: ["ffmpeg", "-t", "{seconds}"],
    params: { seconds: { type: "number", min: 0, max: 10 } },
    env: { TZ: "UTC" },
  }),
);
if ("faults" in parsed) throw new Error("the template of this test is faulty");
const TEMPLATE = parsed.value;

const BODY: JobBody = {
  v: 1,
  id: "job-1",
  pool: "live",
  template: "encode",
  params: { seconds: 5 },
  attempts: 2,
  not_before: null,
  not_after: "2026-11-28T13:00:00.000Z",
  rerun: "never",
  labels: { channel: "7" },
  by: "anna",
  at: "2026-11-28T11:00:00.000Z",
};

class Killed extends Error {}

/** A machine on which a runner can be killed before or after each thing that it does. */
class Machine {
  readonly claimed = new Map<string, AttemptName & { record: ClaimRecord }>();
  readonly records = new Map<string, AttemptName & { record: RunnerRecord }>();
  readonly fates = new Map<string, Fate>();
  readonly started: string[] = [];
  readonly plans: StartPlan[] = [];
  readonly said: string[] = [];
  /** Starts of killed runners that are still in progress. */
  readonly orphans: (() => void)[] = [];
  bootId = "boot-1";
  nowMs = NOW_MS;
  isOn = true;
  isLedgerBroken = false;
  runEnd: RunEnd | undefined;
  /** How many things the runner still does before it is killed. */
  left = Number.POSITIVE_INFINITY;
  slots = 4;

  claim(body: Partial<JobBody> = {}, { signer = key, attempt = 1, state = "mine" as const } = {}): void {
    const whole = { ...BODY, ...body };
    const name = JSON.stringify([whole, signer.publicKey]);
    const job = { ...(signed.get(name) ?? signDocument("job", whole, signer)) };
    signed.set(name, { ...job });
    const record: ClaimRecord = {
      v: 1,
      state,
      attempt,
      job,
      claim_id: "c",
      claim_seq: 1,
      boot_id: this.bootId,
      at: BODY.at,
    };
    this.claimed.set(attemptId(whole.id, attempt), { job: whole.id, attempt, record });
  }

  runner(): Runner {
    const act = <T>(action: () => T): T => {
      if (--this.left < 0) throw new Killed();
      return action();
    };
    const ledger: AttemptLedger = {
      fateOf: (id) => act(() => this.#fateOf(id)),
      retire: (id) =>
        act(() => {
          if (this.#fateOf(id) === "job") return false;
          this.fates.set(id, "retired");
          return true;
        }),
      countRunning: () => act(() => this.started.length),
    };
    const { records } = this;
    return new Runner({
      claims: {
        read: (name) => this.claimed.get(attemptId(name.job, name.attempt))?.record,
        names: () => [...this.claimed.values()],
      },
      own: {
        read: (name) => records.get(attemptId(name.job, name.attempt))?.record,
        write: (name, record) =>
          act(() => void records.set(attemptId(name.job, name.attempt), { ...name, record })),
        names: () => [...records.values()],
        remove: (name) => act(() => void records.delete(attemptId(name.job, name.attempt))),
      },
      locks: {
        readAcceptance: () =>
          this.isOn
            ? {
                pools: ["live"],
                slots: this.slots,
                as: "transcode",
                trusted: new Set([key.publicKey]),
                signedTemplates: false,
              }
            : undefined,
        readTemplate: (name) => (name === "encode" ? TEMPLATE : undefined),
      },
      ledger,
      bootId: this.bootId,
      nowMs: () => this.nowMs,
      run: async (plan) => {
        const start = () => this.#runOnce(plan);
        // The runner dies while its ffrtmp run is at work.
        if (this.left <= 0) this.orphans.push(start);
        return act(() => this.runEnd ?? start());
      },
      log: (text) => this.said.push(text),
    });
  }

  /** Steps a new runner, which may be killed. */
  async step(runner = this.runner()): Promise<void> {
    try {
      await runner.step();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
    }
  }

  #fateOf(id: string): Fate {
    if (this.isLedgerBroken) throw new LedgerTrouble("the ledger cannot be read");
    return this.fates.get(id) ?? "unused";
  }

  /** As `ffrtmp run --once` does. */
  #runOnce(plan: StartPlan): RunEnd {
    const id = plan.options.find((option) => option.startsWith("--job-id="))?.slice("--job-id=".length) ?? "";
    expect(plan.options).toContain("--once");
    if (this.fates.has(id)) return { code: 125, said: "--once refuses the job id" };
    this.fates.set(id, "job");
    this.started.push(id);
    this.plans.push(plan);
    return { code: 0, said: "" };
  }

  stateOf(id = "job-1.1"): string | undefined {
    return this.records.get(id)?.record.state;
  }
}

test("a claimed attempt is started with the words of its template, as root's user, and once", async () => {
  const machine = new Machine();
  machine.claim();
  const runner = machine.runner();
  for (let steps = 0; steps < 3; steps++) await runner.step();
  expect(machine.started).toEqual(["job-1.1"]);
  expect(machine.stateOf()).toBe("started");
  expect(machine.plans).toEqual([
    {
      slots: 4,
      command: ["ffmpeg", "-t", "5"],
      options: [
        ...["--once", "--job-id=job-1.1", "--user=transcode", "--workdir=/"],
        ...["--label=channel=7", "--label=fleet_job=job-1", "--label=fleet_attempt=1"],
        ...["--setenv=TZ=UTC", "--setenv=FFRTMP_JOB=job-1", "--setenv=FFRTMP_ATTEMPT=1"],
      ],
    },
  ]);
});

test("an attempt whose claim is not confirmed is left alone", async () => {
  const machine = new Machine();
  machine.claim({}, { state: "offered" as "mine" });
  await machine.step();
  expect([machine.started, machine.records.size]).toEqual([[], 0]);
});

test.each<[string, (machine: Machine) => void, RegExp]>([
  ["beyond its attempts", (m) => m.claim({}, { attempt: 3 }), /has 2 attempts/],
  ["of another pool", (m) => m.claim({ pool: "batch" }), /for the pool batch/],
  ["that has expired", (m) => m.claim({ not_after: "2026-11-28T11:59:59.000Z" }), /has expired/],
  ["of an unknown template", (m) => m.claim({ template: "none" }), /no template none/],
  ["with a wrong value", (m) => m.claim({ params: { seconds: 11 } }), /is not between 0 and 10/],
  ["with a value too many", (m) => m.claim({ params: { seconds: 1, x: 1 } }), /no parameter "x"/],
  ["with a wrong label", (m) => m.claim({ labels: { "a=b": "c" } }), /contains =/],
  ["with an empty label", (m) => m.claim({ labels: { a: "" } }), /is empty/],
  ["where dispatch is off", (m) => turnOff(m), /dispatch is off/],
])("an attempt %s is refused, and its id never runs", async (_, claim, why) => {
  const machine = new Machine();
  claim(machine);
  const [id = ""] = machine.claimed.keys();
  await machine.step();
  expect(machine.records.get(id)?.record).toMatchObject({
    state: "refused",
    why: expect.stringMatching(why),
  });
  expect([machine.started, machine.fates.get(id)]).toEqual([[], "retired"]);
});

test.each<[string, (machine: Machine) => void, RegExp]>([
  ["of another signer", (m) => m.claim({}, { signer: stranger }), /untrusted/],
  ["that is forged", (m) => forge(m), /forged/],
  ["under another name", (m) => rename(m), /the name of another attempt/],
])("an attempt %s is refused, and the agent has made no id of root's unusable", async (_, claim, why) => {
  const machine = new Machine();
  claim(machine);
  const [id = ""] = machine.claimed.keys();
  await machine.step();
  const refused = { state: "refused", why: expect.stringMatching(why) };
  expect(machine.records.get(id)?.record).toMatchObject(refused);
  expect([machine.started, machine.fates.get(id)]).toEqual([[], undefined]);
});

test("an attempt whose signer is not trusted any more never runs once the runner has begun with it", async () => {
  const machine = new Machine();
  machine.claim();
  machine.left = 3;
  await machine.step();
  expect(machine.stateOf()).toBe("starting");
  machine.left = Number.POSITIVE_INFINITY;
  machine.claim({}, { signer: stranger });
  await machine.step();
  expect([machine.stateOf(), machine.fates.get("job-1.1")]).toEqual(["refused", "retired"]);
});

function forge(machine: Machine): void {
  machine.claim();
  for (const { record } of machine.claimed.values())
    record.job.body = record.job.body.replace("live", "live ");
}

function rename(machine: Machine): void {
  machine.claim();
  const [entry] = machine.claimed.values();
  machine.claimed.clear();
  if (entry) machine.claimed.set("job-2.1", { ...entry, job: "job-2" });
}

function turnOff(machine: Machine): void {
  machine.claim();
  machine.isOn = false;
}

test("an attempt waits for its time, for a free slot, and for a ledger that can be read", async () => {
  const machine = new Machine();
  machine.claim({ not_before: "2026-11-28T12:30:00.000Z" });
  await machine.step();
  machine.nowMs += 1_800_000;
  machine.slots = 0;
  await machine.step();
  machine.slots = 1;
  machine.isLedgerBroken = true;
  await machine.step();
  expect([machine.started, machine.records.size]).toEqual([[], 0]);
  machine.isLedgerBroken = false;
  await machine.step();
  expect(machine.stateOf()).toBe("started");
});

test("a start that fails for a reason of ffrtmp's own is tried again, and one by the command is not", async () => {
  const machine = new Machine();
  machine.claim();
  machine.runEnd = { code: 125, said: "the ledger is locked" };
  const runner = machine.runner();
  for (let steps = 0; steps < 20; steps++) {
    machine.nowMs += 1000;
    await runner.step();
  }
  expect(machine.stateOf()).toBe("starting");
  expect(machine.said).toEqual(["attempt job-1.1 is tried again: the ledger is locked"]);
  machine.runEnd = { code: 127, said: "cannot run ffmpeg: it is not in PATH" };
  machine.nowMs += 60_000;
  await runner.step();
  expect(machine.records.get("job-1.1")?.record).toMatchObject({
    state: "refused",
    why: machine.runEnd.said,
  });
});

test("a start of an earlier boot that the ledger does not have has not been, and will not be", async () => {
  const machine = new Machine();
  machine.claim();
  // Killed after the record and before the start.
  machine.left = 3;
  await machine.step();
  expect(machine.stateOf()).toBe("starting");
  [machine.left, machine.bootId] = [Number.POSITIVE_INFINITY, "boot-2"];
  await machine.step();
  expect(machine.records.get("job-1.1")?.record).toMatchObject({
    state: "refused",
    why: "the machine was restarted before the attempt was started",
  });
});

test("a reason is short enough for the message that states the loss, whatever was given", async () => {
  const machine = new Machine();
  machine.claim({ params: { seconds: "9".repeat(100_000) } });
  await machine.step();
  const { state, why } = machine.records.get("job-1.1")?.record ?? {};
  expect([state, why?.startsWith("the parameter seconds is refused: ")]).toEqual(["refused", true]);
  expect(
    [why?.length, ...machine.said.map(({ length }) => length)].every((each) => Number(each) < 1100),
  ).toBe(true);
});

test("the records of attempts that the agent has settled are removed", async () => {
  const machine = new Machine();
  machine.claim();
  await machine.step();
  machine.claimed.clear();
  await machine.step();
  expect(machine.records.size).toBe(0);
});

/** An event on a machine. They come in any order. */
const happening = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("step" as const), left: fc.integer({ min: 0, max: 9 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "orphan" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "two runners" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "records lost" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "boot" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("clock" as const), hours: fc.integer({ min: -30, max: 30 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("dispatch" as const), isOn: fc.boolean() }) },
);

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

async function happen(machine: Machine, each: Happening): Promise<void> {
  if (each.kind === "step") {
    machine.left = each.left;
    await machine.step();
    machine.left = Number.POSITIVE_INFINITY;
  } else if (each.kind === "orphan") machine.orphans.shift()?.();
  else if (each.kind === "two runners") await Promise.all([machine.step(), machine.step()]);
  else if (each.kind === "records lost") machine.records.clear();
  else if (each.kind === "clock") machine.nowMs += each.hours * 3_600_000;
  else if (each.kind === "dispatch") machine.isOn = each.isOn;
  else {
    machine.bootId += "+";
    // A reboot ends all processes.
    machine.orphans.length = 0;
  }
}

test("whatever happens, no attempt starts twice, none that is refused starts, and each is settled in the end", async () => {
  const outcomes = { started: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 25 }), async (happenings) => {
      const machine = new Machine();
      machine.claim();
      machine.claim({ id: "job-2" }, { attempt: 2 });
      for (const each of happenings) {
        const refused = [...machine.records].filter(([, { record }]) => record.state === "refused");
        await happen(machine, each);
        for (const [id] of refused) expect(machine.started).not.toContain(id);
        expect(new Set(machine.started).size).toBe(machine.started.length);
      }
      await machine.step();
      for (const orphan of machine.orphans.splice(0)) orphan();
      for (const id of ["job-1.1", "job-2.2"]) {
        const state = machine.stateOf(id);
        // One whose time has not come waits. Here, none has such a time.
        expect(state).toBe(machine.started.includes(id) ? "started" : "refused");
        outcomes[state as keyof typeof outcomes]++;
      }
      expect(new Set(machine.started).size).toBe(machine.started.length);
    }),
    { numRuns: 300 },
  );
  for (const count of Object.values(outcomes)) expect(count).toBeGreaterThan(10);
}, 60_000);
