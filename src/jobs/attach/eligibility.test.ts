import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "../../../test/support/decisions.ts";
import { useGovernedFakes } from "../../../test/support/governedFakes.ts";
import { useGovernedSleepers } from "../../../test/support/governedSleepers.ts";
import { lacksKernelThreads, startZombie } from "../../../test/support/processes.ts";
import { lacksLimits, testIf, until } from "../../../test/support/sandbox.ts";
import { decideProcess } from "../../daemon/decision.ts";
import { readMembership } from "../../linux/cgroup/hierarchies.ts";
import { realHost } from "../../linux/host.ts";
import { readStat } from "../../linux/proc/stat.ts";
import { listThreads, runsSameFile } from "../../linux/proc/table.ts";
import { decide } from "../../policy/decide.ts";
import { FactReader } from "../../policy/procFacts.ts";
import type { Context } from "../context.ts";
import { newJob } from "../job.ts";
import { jobCgroupOf } from "../placement/jobCgroup.ts";
import { attach } from "./attach.ts";
import { detach } from "./detach.ts";
import { checkEligibility, type IneligibleCode } from "./eligibility.ts";

const { clean, governSleeper, makeGovernor } = useGovernedSleepers();
const { openOwner } = useGovernedFakes();

/** A policy that would govern every process. */
const EVERYTHING = load('rules: [{name: all, match: {command: "*"}}]');
const SPEC = { jobId: "tried", limits: {}, intent: null, slaEligible: true, tenant: null, labels: {} };

/** Expects that attach, watch and the dry run refuse a process, and all for this reason. */
function expectRefused(context: Context, pid: number, code: IneligibleCode, reason: RegExp): void {
  const explicit = checkEligibility(context, pid, "explicit");
  const discovered = checkEligibility(context, pid, "discovered");
  const reader = new FactReader(context.host);
  const decision = decideProcess(context, pid, (stat) => decide(EVERYTHING, reader.of(stat)));
  expect(explicit).toMatchObject({ eligible: false, code, reason: expect.stringMatching(reason) });
  expect(discovered).toEqual(explicit);
  expect(decision).toEqual({
    govern: false,
    reason: "reason" in explicit ? explicit.reason : "",
    ineligible: "reason" in discovered ? discovered : undefined,
  });
  // Last, because this one governs the process if the check is wrong.
  expect(() => attach(context, pid, SPEC)).toThrow(reason);
}

test("init is refused", () => {
  expectRefused(makeGovernor(), 1, "init", /it is init, and a limit on it would apply to the whole machine$/);
});

testIf(lacksKernelThreads())("a kernel thread is refused", () => {
  expectRefused(makeGovernor(), 2, "kernel-thread", /it is a kernel thread$/);
});

test("the process that asks is refused", () => {
  expectRefused(makeGovernor(), process.pid, "self", /it is this ffrtmp process$/);
});

test("what a process beside the daemon has started is no workload, unless it is named", async () => {
  const shell = Bun.spawn(["sh", "-c", "sleep 1000 & wait"], { stdio: ["ignore", "ignore", "ignore"] });
  try {
    const children = () => readFileSync(`/proc/${shell.pid}/task/${shell.pid}/children`, "utf8").trim();
    await until("the shell has a child", () => children() !== "");
    const child = Number(children());
    const context = makeGovernor();
    const beside = { ...context, helpers: () => [undefined, shell.pid] };
    expect(checkEligibility(context, child, "discovered")).toMatchObject({ eligible: true });
    expect(checkEligibility(beside, child, "discovered")).toMatchObject({ eligible: false, code: "helper" });
    expect(checkEligibility(beside, child, "explicit")).toMatchObject({ eligible: true });
    process.kill(child, "SIGKILL");
  } finally {
    shell.kill("SIGKILL");
    await shell.exited;
  }
});

test("a process that runs the same executable is refused: it is an ffrtmp too", async () => {
  const other = spawn([process.execPath, "-e", "setTimeout(() => {}, 600_000)"]);
  await until("it runs", () => runsSameFile(realHost(), other.pid, "self"));
  expectRefused(makeGovernor(), other.pid, "ffrtmp", /it is an ffrtmp process$/);
});

test("the observer of a job is refused, whichever executable it runs", () => {
  const context = makeGovernor();
  const observer = spawn(["sleep", "600"]);
  const stat = readStat(context.host, observer.pid);
  if (stat === "gone") throw new Error("the observer has ended");
  const { job } = governSleeper({}, {}, context);
  context.ledger.takeOver(job, { bootId: context.bootId, pid: stat.pid, startTicks: stat.startTicks });
  expectRefused(context, observer.pid, "ffrtmp", /it is an ffrtmp process$/);
});

test("a zombie is refused", async () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  clean.push(() => rmSync(directory, { recursive: true }));
  const { parent, child } = await startZombie(spawn, join(directory, "zombie"));
  const reason = new RegExp(`it has ended, and its parent ${parent} has not collected it yet$`);
  expectRefused(makeGovernor(), child, "ended", reason);
});

test("a thread is refused", () => {
  const thread = listThreads(realHost(), process.pid).find((tid) => tid !== process.pid);
  if (thread === undefined) throw new Error("the test runner has one thread only");
  expectRefused(makeGovernor(), thread, "thread", /it is a thread, not a process$/);
});

test("a PID that no process has does not exist", () => {
  // PID_MAX_LIMIT: the kernel gives this number to no process.
  const context = makeGovernor();
  const reader = new FactReader(context.host);
  for (const intent of ["explicit", "discovered"] as const)
    expect(checkEligibility(context, 4_194_304, intent)).toMatchObject({ eligible: false, code: "gone" });
  const decision = decideProcess(context, 4_194_304, (stat) => decide(EVERYTHING, reader.of(stat)));
  expect(decision).toEqual({
    govern: false,
    reason: "it does not exist",
    ineligible: expect.objectContaining({ code: "gone" }),
  });
  expect(() => attach(context, 4_194_304, SPEC)).toThrow("process 4194304 does not exist");
});

test("a governed process is refused, by the name of its job", () => {
  const { context, pid } = governSleeper({});
  expectRefused(context, pid, "governed", /it is governed already, as job kept$/);
});

testIf(lacksLimits())(
  "a process that another state directory governs is refused, by the name of its cgroup",
  () => {
    const { pid } = governSleeper({});
    expectRefused(makeGovernor(), pid, "governed", /it is governed already, inside ffrtmp-[0-9a-f]{6}-kept$/);
  },
);

test("a child of a job that is governed in place is refused, although no path shows it", () => {
  const { start, govern, context } = openOwner();
  start(4026, 1);
  const job = govern(4026, { pidsMax: 64 });
  expect(job.cgroup).toMatchObject([{ placedAs: "in-place" }]);
  start(4027, 4026);
  expectRefused(context, 4027, "governed", /it is governed already, as job kept$/);
});

test("a process that ffrtmp run is starting is refused, before its PID is recorded", () => {
  const context = makeGovernor();
  const starting = newJob(
    context,
    "run",
    { ...SPEC, jobId: "launching" },
    {
      process: null,
      command: ["sleep", "600"],
      cwd: null,
      uid: null,
      cgroup: [],
      changes: [],
      logPath: null,
    },
  );
  context.ledger.register(starting);
  const child = spawn(["sleep", "600"]);
  expectRefused(context, child.pid, "starting", /it is being started by ffrtmp run, as job launching$/);
});

test("a process that the operator detached is governed again only when the operator names it", () => {
  const { context, job, pid } = governSleeper({});
  detach(context, job, jobCgroupOf(context, job));
  expect(checkEligibility(context, pid, "explicit")).toMatchObject({ eligible: true });
  expect(checkEligibility(context, pid, "discovered")).toMatchObject({
    eligible: false,
    code: "detached",
    reason: expect.stringContaining(
      "it was detached by hand, and is left alone until: ffrtmp attach --policy",
    ),
    hint: `to govern it by hand: ffrtmp attach --pid ${pid}`,
  });
});

test("an ordinary process is eligible, and the result has its stat and its cgroups", () => {
  const context = makeGovernor();
  const { pid } = spawn(["sleep", "600"]);
  const stat = readStat(context.host, pid);
  if (stat === "gone") throw new Error("it has ended");
  const { startTicks } = stat;
  const eligible = {
    eligible: true,
    stat: { pid, startTicks },
    membership: readMembership(context.host, pid),
  };
  for (const intent of ["explicit", "discovered"] as const)
    expect(checkEligibility(context, pid, intent)).toMatchObject(eligible);
  const reader = new FactReader(context.host);
  const decision = decideProcess(context, pid, (read) => decide(EVERYTHING, reader.of(read)));
  expect(decision).toMatchObject({ govern: true, process: eligible });
});

function spawn(cmd: string[]): Bun.Subprocess {
  const child = Bun.spawn(cmd, { stdio: ["ignore", "ignore", "ignore"] });
  clean.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  return child;
}
