import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { locateState } from "../../src/ledger/location.ts";
import { type Fault, listFaults, withFault } from "../support/faults.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

/**
 * The kernel refuses one write of ffrtmp at a time, at every place where it writes to its ledger or to a cgroup.
 * strace(1) injects the error.
 */
const sandbox = useSandbox();
const faultTest = testIf(lacksLimits() ?? lacksCommand("strace"));
const LIMITS = ["--cpu-quota", "50", "--pids-max", "100", "--memory-max", "200M"];
const EXIT_CODE = 7;
/** Several hundred commands, each traced. */
const TIMEOUT_MS = 900_000;

faultTest(
  "run starts its workload and returns its exit code, whichever write fails",
  async () => {
    await prepareState(sandbox());
    const args = ["run", "--job-id", "faulty", ...LIMITS, "--", "sh", "-c", `exit ${EXIT_CODE}`];
    const faults = await listFaults(sandbox(), async (tracer) => {
      expect((await traced([...tracer, FFRTMP, ...args])).code).toBe(EXIT_CODE);
    });
    expectEveryKind(faults);
    for (const fault of faults) {
      const before = results().length;
      const { code, stderr } = await traced(withFault(fault, args));
      expect({ fault: nameOf(fault), code, stderr }).toMatchObject({ code: EXIT_CODE });
      await expectSoundRecord(fault, stderr, before);
    }
  },
  TIMEOUT_MS,
);

faultTest(
  "attach leaves its process running, and its record is whole, whichever write fails",
  async () => {
    await prepareState(sandbox());
    const attach = async (command: (pid: number) => string[]) => {
      const workload = sandbox().spawn(["sh", "-c", `read line; exit ${EXIT_CODE}`], { stdin: "pipe" });
      const before = readFileSync(`/proc/${workload.pid}/cgroup`, "utf8");
      const stderr = sandbox().path("stderr");
      const wrapper = sandbox().spawn(command(workload.pid), {
        stdout: "ignore",
        stderr: openSync(stderr, "w"),
      });
      const isMoved = () => readFileSync(`/proc/${workload.pid}/cgroup`, "utf8") !== before;
      const isOver = () => wrapper.exitCode !== null || wrapper.signalCode !== null;
      await until("attach governs the process or has failed", () => isOver() || isMoved());
      expect(isRunning(workload.pid)).toBe(true);
      // The last writes of the attach follow the move.
      if (!isOver()) await Promise.race([wrapper.exited, Bun.sleep(150)]);
      (workload.stdin as Bun.FileSink).write("\n");
      await (workload.stdin as Bun.FileSink).end();
      expect(await workload.exited).toBe(EXIT_CODE);
      await wrapper.exited;
      return readFileSync(stderr, "utf8");
    };
    const args = (pid: number) => ["attach", "--job-id", "faulty", "--pid", String(pid), ...LIMITS];
    const faults = await listFaults(sandbox(), async (tracer) => {
      await attach((pid) => [...tracer, FFRTMP, ...args(pid)]);
    });
    expectEveryKind(faults);
    for (const fault of faults) {
      const before = results().length;
      const stderr = await attach((pid) => withFault(fault, args(pid)));
      await expectSoundRecord(fault, stderr, before);
    }
  },
  TIMEOUT_MS,
);

faultTest(
  "detach restores everything or can be repeated, whichever write fails",
  async () => {
    await prepareState(sandbox());
    const workload = sandbox().spawn(["sleep", "600"]);
    const cgroups = () => readFileSync(`/proc/${workload.pid}/cgroup`, "utf8");
    const before = cgroups();
    const detach = async (command: string[]) => {
      const args = ["attach", "--job-id", "faulty", "--pid", String(workload.pid), ...LIMITS];
      const wrapper = sandbox().start(args, { stdout: "ignore", stderr: "ignore" });
      await sandbox().pidOf("faulty");
      await until("the process is moved", () => cgroups() !== before);
      const ended = await traced(command);
      // It ends when its job is detached; the fault may have kept that from the ledger.
      expect(ended.code === 0 ? 0 : (await sandbox().run(["detach", "faulty"])).code).toBe(0);
      await wrapper.exited;
      return ended;
    };
    const faults = await listFaults(sandbox(), async (tracer) => {
      expect((await detach([...tracer, FFRTMP, "detach", "faulty"])).code).toBe(0);
    });
    expectEveryKind(faults);
    for (const fault of faults) {
      const earlier = results().length;
      const { code, stderr } = await detach(withFault(fault, ["detach", "faulty"]));
      expect({ fault: nameOf(fault), code, stderr, cgroups: cgroups() }).toMatchObject({ cgroups: before });
      expect(isRunning(workload.pid)).toBe(true);
      await expectSoundRecord(fault, stderr, earlier);
    }
  },
  TIMEOUT_MS,
);

/** Creates the ledger, so that the faults do not count the creation of its tables. */
async function prepareState(sandbox: Sandbox): Promise<void> {
  expect((await sandbox.run(["run", "--", "true"])).code).toBe(0);
}

async function traced(command: string[]): Promise<{ code: number; stderr: string }> {
  const child = sandbox().spawn(command, { stdout: "ignore" });
  const stderr = await new Response(child.stderr as ReadableStream).text();
  return { code: await child.exited, stderr };
}

/** The next ffrtmp must find a sound ledger and repair what is left: no open job, no cgroup, one result at most. */
async function expectSoundRecord(fault: Fault, stderr: string, before: number): Promise<void> {
  const { code, stdout } = await sandbox().run(["ps", "--json"]);
  const about = { fault: nameOf(fault), stderr };
  expect({ ...about, code, jobs: JSON.parse(stdout) }).toMatchObject({
    code: 0,
    jobs: [],
  });
  expect({ ...about, cgroups: sandbox().cgroups() }).toMatchObject({ cgroups: [] });
  const added = results().slice(before);
  expect({ ...about, added }).toMatchObject({ added: added.slice(0, 1) });
  for (const { exit_code: exitCode } of added) expect([null, EXIT_CODE]).toContain(exitCode);
  const isRecordedOrReported = added.length === 1 || /cannot|lost/.test(stderr);
  expect({ ...about, isRecordedOrReported }).toMatchObject({ isRecordedOrReported: true });
}

function results(): { exit_code: number | null }[] {
  const db = new Database(locateState(sandbox().state, {}).ledger, { readonly: true });
  try {
    return db.query<{ exit_code: number | null }, []>("SELECT exit_code FROM results ORDER BY rowid").all();
  } finally {
    db.close();
  }
}

function expectEveryKind(faults: Fault[]): void {
  const kinds = new Set(faults.map(({ syscall }) => syscall));
  for (const kind of ["openat", "write", "pwrite64", "unlinkat"]) expect(kinds).toContain(kind);
}

function nameOf({ syscall, call, error }: Fault): string {
  return `${error} at ${syscall} ${call}`;
}
