import { afterEach, expect, test } from "bun:test";
import { lacksRealtime, OTHER, RR, readPolicy, setAllOrdinary } from "../../test/support/scheduling.ts";
import { syscall } from "../sys/libc.ts";
import { DaemonScheduling } from "./daemonScheduling.ts";

const SCHED_BATCH = 3;

const missing = lacksRealtime();
if (missing !== undefined) process.stderr.write(`not tried: real-time scheduling: ${missing}\n`);
const realtimeTest = test.skipIf(missing !== undefined);

afterEach(setAllOrdinary);

realtimeTest("the main thread is ordinary during long work, and real-time otherwise", async () => {
  const scheduling = new DaemonScheduling("realtime");
  expect(scheduling).toMatchObject({ isRealtime: true, refused: undefined });
  expect(readPolicy()).toBe(RR);
  expect(scheduling.inBackground(() => readPolicy())).toBe(OTHER);
  expect(readPolicy()).toBe(RR);
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = scheduling.inBackground(() => promise);
  expect(readPolicy()).toBe(OTHER);
  resolve();
  await work;
  expect(readPolicy()).toBe(RR);
});

realtimeTest("a new process is judged with real-time scheduling in the middle of long work", async () => {
  const scheduling = new DaemonScheduling("realtime");
  const { promise: endOfWork, resolve: endWork } = Promise.withResolvers<void>();
  const { promise: endOfJudgement, resolve: endJudgement } = Promise.withResolvers<void>();
  const work = scheduling.inBackground(() => endOfWork);
  const first = scheduling.hurry(async () => readPolicy());
  const second = scheduling.hurry(() => endOfJudgement);
  expect(await first).toBe(RR);
  expect(readPolicy()).toBe(RR);
  endJudgement();
  await second;
  expect(readPolicy()).toBe(OTHER);
  endWork();
  await work;
  expect(readPolicy()).toBe(RR);
});

realtimeTest("long work that fails does not keep the main thread ordinary", async () => {
  const scheduling = new DaemonScheduling("realtime");
  const fail = () => {
    throw new Error("failed");
  };
  expect(() => scheduling.inBackground(fail)).toThrow("failed");
  expect(readPolicy()).toBe(RR);
  await expect(scheduling.inBackground(async () => fail())).rejects.toThrow("failed");
  expect(readPolicy()).toBe(RR);
});

test("no thread becomes real-time where that would harm others", () => {
  const scheduling = new DaemonScheduling("realtime", () => "it harms others");
  expect(scheduling).toMatchObject({ isRealtime: false, refused: "it harms others" });
  expect(readPolicy()).toBe(OTHER);
});

test("unchanged scheduling stays as it was", async () => {
  const scheduling = new DaemonScheduling("unchanged");
  expect(scheduling).toMatchObject({ isRealtime: false, refused: undefined });
  expect(await scheduling.hurry(async () => readPolicy())).toBe(OTHER);
  expect(scheduling.inBackground(() => readPolicy())).toBe(OTHER);
});

test("a policy that the operator has set for the process stays", async () => {
  expect(syscall("sched_setscheduler", 0, SCHED_BATCH, Int32Array.of(0))).toBe(0);
  const scheduling = new DaemonScheduling("realtime");
  expect(scheduling).toMatchObject({ isRealtime: false, refused: undefined });
  expect(await scheduling.hurry(async () => readPolicy())).toBe(SCHED_BATCH);
});
