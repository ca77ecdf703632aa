import { expect } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { useGovernedSleepers } from "../../test/support/governedSleepers.ts";
import { lacksLimits, testIf, until } from "../../test/support/sandbox.ts";
import { detach } from "../jobs/attach/detach.ts";
import type { RunningJob } from "../jobs/model/job.ts";
import { jobCgroupOf } from "../jobs/placement/jobCgroup.ts";
import { type Answer, performRead, type SlowRead } from "../linux/proc/slowFacts/slowFacts.ts";
import { readArguments } from "../linux/proc/table.ts";
import { loadPolicy } from "../policy/file/loadPolicy.ts";
import { type Policy, policyFromFlags } from "../policy/policy.ts";
import { FactReader } from "../policy/procFacts.ts";
import { closeFd } from "../sys/descriptor.ts";
import type { DaemonContext } from "./daemonContext.ts";
import { DaemonScheduling } from "./daemonScheduling.ts";
import { Discovery } from "./discovery.ts";
import { DaemonEvents } from "./events.ts";
import type { JobTracker } from "./jobTracker.ts";
import { PostponedWork } from "./postponedWork.ts";

const { clean, makeGovernor } = useGovernedSleepers();
const limitsTest = testIf(lacksLimits());

/** Starts a copy of sleep, under a name that no other process has. */
async function startSleeper(governor: ReturnType<typeof makeGovernor>) {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  const program = join(directory, `fft-${basename(directory).slice(-6)}`);
  copyFileSync(Bun.which("sleep") as string, program);
  const child = Bun.spawn([program, "600"], { stdio: ["ignore", "ignore", "ignore"] });
  clean.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
    rmSync(directory, { recursive: true });
  });
  await until("the process runs its program", () => readArguments(governor.host, child.pid)[0] === program);
  return { program, pid: child.pid };
}

/** Returns a discovery by a policy, and the jobs that it has governed, in their order. */
function startDiscovery(
  governor: ReturnType<typeof makeGovernor>,
  policy: Policy,
  read: (read: SlowRead) => Promise<Answer | undefined> = async (read) => performRead(governor.host, read),
) {
  const scheduling = new DaemonScheduling("unchanged");
  const context = {
    ...governor,
    options: { placement: "auto" },
    store: { policy },
    reader: new FactReader(governor.host),
    slowReader: { read },
    bus: new DaemonEvents(),
    postponed: new PostponedWork({ retry() {}, report() {} }),
    scheduling,
  } as unknown as DaemonContext;
  const jobs: RunningJob[] = [];
  const tracker = {
    finishPending() {},
    observe(job: RunningJob, pidfd: number | undefined) {
      jobs.push(job);
      clean.push(() => detach(governor, job, jobCgroupOf(governor, job)));
      if (pidfd !== undefined) closeFd(pidfd);
    },
  } as unknown as JobTracker;
  const discovery = new Discovery(context, tracker, () => {});
  clean.push(() => discovery.stop());
  return { discovery, jobs, scheduling };
}

/** Lets a discovery choose a process. The first `outdated` reads are of an earlier program of it. */
async function play(outdated: number) {
  const governor = makeGovernor();
  const { program, pid } = await startSleeper(governor);
  let reads = 0;
  const read = async (read: SlowRead): Promise<Answer | undefined> => {
    const answer = performRead(governor.host, read) as Answer & { program: string };
    if (read.kind !== "arguments" || ++reads > outdated) return answer;
    return { ...answer, program: "earlier", line: { words: [program, "earlier"], isCut: false } } as Answer;
  };
  const { discovery, jobs } = startDiscovery(governor, policyFromFlags([basename(program)], {}), read);
  expect(await discovery.consider(pid)).toBe(true);
  return { commands: jobs.map(({ command }) => command), program };
}

limitsTest("live streams are governed after the others of the same scan", async () => {
  const governor = makeGovernor();
  const [live, batch, other] = [
    await startSleeper(governor),
    await startSleeper(governor),
    await startSleeper(governor),
  ];
  const rule = ({ program }: typeof live, intent: string) =>
    `{name: ${intent}, match: {command: ${basename(program)}}, intent: ${intent}}`;
  const rules = `rules: [${rule(live, "live")}, ${rule(batch, "batch")}]`;
  const policyOf = (text: string): Policy => {
    const loaded = loadPolicy(`${text}\ntarget_commands: [${basename(other.program)}]`, "policy.yaml");
    if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
    return loaded.policy;
  };
  const { discovery, jobs } = startDiscovery(governor, policyOf(`intents: {}\n${rules}`));
  const pids = [live.pid, batch.pid, other.pid];
  expect(await discovery.considerAll(pids)).toEqual(pids);
  expect(jobs.map(({ process }) => process.pid).at(-1)).toBe(live.pid);
  expect(jobs.map(({ limits }) => limits.cpuWeight).sort()).toEqual([1, 1000, undefined]);
});

limitsTest("a process is recorded with the arguments of the program that it runs now", async () => {
  const { commands, program } = await play(2);
  expect(commands).toEqual([[program, "600"]]);
});

limitsTest("a process that executes programs without end is governed all the same", async () => {
  const { commands, program } = await play(Number.POSITIVE_INFINITY);
  expect(commands).toEqual([[program, "earlier"]]);
});

limitsTest(
  "the event thread may have raised the main thread for a process that has ended: it is lowered",
  async () => {
    const governor = makeGovernor();
    const { discovery, scheduling } = startDiscovery(governor, policyFromFlags(["no-such-workload"], {}));
    // Its end lowers the thread.
    let hurries = 0;
    const hurry = scheduling.hurry.bind(scheduling);
    scheduling.hurry = (action) => {
      hurries++;
      return hurry(action);
    };
    const { pid } = Bun.spawnSync(["true"]);
    expect([await discovery.considerNow(pid), hurries]).toEqual([false, 1]);
  },
);

limitsTest(
  "a scan considers a bounded number of processes at once, and one that waits delays no other",
  async () => {
    const { discovery } = startDiscovery(makeGovernor(), policyFromFlags(["no-such-workload"], {}));
    const pids = Array.from({ length: 500 }, (_, index) => index + 1);
    const [waits] = pids as [number];
    const { promise: othersAreDone, resolve } = Promise.withResolvers<void>();
    let [running, most, done] = [0, 0, 0];
    discovery.consider = async (pid) => {
      most = Math.max(most, ++running);
      await (pid === waits ? othersAreDone : Bun.sleep(0));
      running--;
      if (++done === pids.length - 1) resolve();
      return pid % 2 === 1;
    };
    expect(await discovery.considerAll(pids)).toEqual(pids.filter((pid) => pid % 2 === 1));
    expect([most > 1, most < 100]).toEqual([true, true]);
  },
);
