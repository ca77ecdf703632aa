import { afterEach, expect, test } from "bun:test";
import { lacksRealtime, OTHER, RR, readPolicy, readThreads } from "../../test/support/scheduling.ts";
import {
  createThreads,
  hasOrdinaryScheduling,
  setOrdinaryScheduling,
  setRealtimeScheduling,
  startProcess,
} from "./scheduling.ts";

const missing = lacksRealtime();
if (missing !== undefined) process.stderr.write(`not tried: real-time scheduling: ${missing}\n`);
const realtimeTest = test.skipIf(missing !== undefined);

afterEach(() => void setOrdinaryScheduling());

function startSleeper(): Bun.Subprocess {
  return Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
}

async function end(child: Bun.Subprocess): Promise<void> {
  child.kill("SIGKILL");
  await child.exited;
}

/** A thread that does nothing, with a name of its own. */
function createThread(isRealtime: boolean, name: string): Worker {
  const program = URL.createObjectURL(new Blob(["self.onmessage = () => {}"]));
  return createThreads(isRealtime, () => new Worker(program, { name }));
}

realtimeTest("setRealtimeScheduling() is undone by setOrdinaryScheduling()", () => {
  expect(hasOrdinaryScheduling()).toBe(true);
  expect(setRealtimeScheduling()).toBe(0);
  expect(hasOrdinaryScheduling()).toBe(false);
  expect(readPolicy()).toBe(RR);
  expect(setOrdinaryScheduling()).toBe(0);
  expect(hasOrdinaryScheduling()).toBe(true);
  expect(readPolicy()).toBe(OTHER);
});

test("setRealtimeScheduling() of a thread that does not exist returns −errno", () => {
  expect(setRealtimeScheduling(2 ** 22)).toBeLessThan(0);
});

realtimeTest("startProcess() hands no real-time scheduling and no negative nice value on", async () => {
  setRealtimeScheduling();
  const child = startProcess(startSleeper);
  const inherits = startSleeper();
  try {
    expect(readPolicy(child.pid)).toBe(OTHER);
    expect(readThreads(child.pid)[0]?.nice).toBeGreaterThanOrEqual(0);
    expect(readPolicy()).toBe(RR);
    // Otherwise the first result would prove nothing.
    expect(readPolicy(inherits.pid)).toBe(RR);
  } finally {
    await end(child);
    await end(inherits);
  }
});

realtimeTest(
  "createThreads() gives its threads real-time scheduling, and the caller keeps its own",
  async () => {
    const policyOf = (name: string) => readThreads(process.pid).find(({ comm }) => comm === name)?.policy;
    const workers = [createThread(true, "t-realtime"), createThread(false, "t-ordinary")];
    try {
      // A thread takes its name when it has started.
      while (policyOf("t-realtime") === undefined || policyOf("t-ordinary") === undefined) await Bun.sleep(1);
      expect(policyOf("t-realtime")).toBe(RR);
      expect(policyOf("t-ordinary")).toBe(OTHER);
      expect(readPolicy()).toBe(OTHER);
    } finally {
      for (const worker of workers) worker.terminate();
    }
  },
);

realtimeTest("setRealtimeSchedulingOfAllThreads() reaches every thread", async () => {
  const program = `
    import { setRealtimeSchedulingOfAllThreads } from "${import.meta.dir}/scheduling.ts";
    import { readThreads } from "${import.meta.dir}/../../test/support/scheduling.ts";
    const result = setRealtimeSchedulingOfAllThreads();
    console.log(JSON.stringify({ result, policies: readThreads(process.pid).map(({ policy }) => policy) }));
  `;
  // In a process of its own: the threads of this one are to stay as they are.
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const { result, policies } = JSON.parse(await new Response(child.stdout).text());
  expect(result).toBe(0);
  expect(policies.length).toBeGreaterThan(1);
  expect(new Set(policies)).toEqual(new Set([RR]));
});
