import { afterEach, expect, test } from "bun:test";
import { readSync } from "node:fs";
import { until } from "../../../test/support/sandbox.ts";
import { NO_MEDIA } from "../../metrics/media/mediaReader.ts";
import { closeFd } from "../../sys/descriptor.ts";
import { createPipe, neverWait, type Pipe, writeSome } from "../../sys/pipe.ts";
import { MeterClient } from "./meterClient.ts";
import type { MeterReading, MeterRequest, MeterSubject } from "./protocol.ts";

const READING: MeterReading = { network: null, media: NO_MEDIA, pace: null };
/** Of no process. */
const PID = 2 ** 30;

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Starts a client whose meter is this test: it has the lines that are sent, and answers when the test says so. */
function start() {
  const [requests, answers] = [createPipe(), createPipe()] as [Pipe, Pipe];
  for (const fd of [requests.readFd, answers.writeFd]) neverWait(fd);
  const clock = { nowMs: 0 };
  let ends = 0;
  const process = { pid: PID, requestFd: requests.writeFd, answerFd: answers.readFd };
  const client = new MeterClient(
    process,
    () => ends++,
    () => {},
    () => clock.nowMs,
  );
  let isOpen = true;
  const closeAnswers = () => {
    if (isOpen) closeFd(answers.writeFd);
    isOpen = false;
  };
  opened.push(() => {
    client.stop();
    closeFd(requests.readFd);
    closeAnswers();
  });
  const buffer = Buffer.alloc(1 << 20);
  const received = () => {
    try {
      return buffer.toString("utf8", 0, readSync(requests.readFd, buffer));
    } catch {
      return "";
    }
  };
  /** Returns the next request, which fits into the pipe. */
  const next = async (): Promise<MeterRequest & { bytes: number }> => {
    let text = "";
    await until("a request is sent", () => {
      text += received();
      return text.endsWith("\n");
    });
    return { ...(JSON.parse(text) as MeterRequest), bytes: Buffer.byteLength(text) };
  };
  const write = async (line: string) => {
    let rest = new TextEncoder().encode(`${line}\n`);
    await until("the client has read the answer", () => {
      rest = rest.subarray(Math.max(0, writeSome(answers.writeFd, rest)));
      return rest.length === 0;
    });
  };
  const answer = async ({ jobs }: MeterRequest) => {
    const readings = jobs.map(({ key }) => ({ key, ...READING }));
    await write(JSON.stringify({ readings, devices: [], warnings: [] }));
  };
  return { client, clock, next, answer, write, ends: () => ends, closeAnswers };
}

const subject = (key: string, different: Partial<MeterSubject> = {}): MeterSubject => ({
  key,
  pids: [1],
  ...different,
});

test("an answer is that of the job until the next one is 5 s late", async () => {
  const { client, clock, next, answer } = start();
  client.ask(subject("a"));
  await answer(await next());
  await until("the answer is there", () => client.readingOf("a") !== undefined);
  clock.nowMs = 60_000;
  expect(client.readingOf("a")).toEqual(READING);
  client.ask(subject("a"));
  clock.nowMs = 65_000;
  expect(client.readingOf("a")).toEqual(READING);
  clock.nowMs = 65_001;
  expect(client.readingOf("a")).toBeUndefined();
  expect(client.devices()).toBeUndefined();
});

test("an answer to an earlier question does not stand for one that is still to be sent", async () => {
  const { client, clock, next, answer } = start();
  client.ask(subject("a"));
  const first = await next();
  client.ask(subject("a"));
  await answer(first);
  // The second question, which is sent when the answer to the first one is there.
  await next();
  clock.nowMs = 6000;
  expect(client.readingOf("a")).toBeUndefined();
});

test("a request has room in the pipe, with the places and names of 500 jobs and as many that have ended", async () => {
  const { client, next, answer } = start();
  const keys = Array.from({ length: 500 }, (_, n) => `${n}`.padStart(36, "0"));
  for (const key of keys) client.ask(subject(key));
  await answer(await next());
  const path = `/sys/fs/cgroup/${"ü".repeat(200)}`;
  for (const key of keys) client.forget(key);
  const asked = keys.map((key) => `1${key.slice(1)}`);
  for (const key of asked)
    client.ask(subject(key, { place: { name: key, path, threadsFile: "cgroup.threads", pid: 1 } }));
  const sent: string[] = [];
  while (sent.length < 500) {
    const request = await next();
    expect(request.bytes).toBeLessThan(64 * 1024);
    sent.push(...request.jobs.map(({ key }) => key));
    await answer(request);
  }
  expect(sent.filter((key) => key.startsWith("1"))).toEqual(asked);
});

test("an answer about a job that has ended meanwhile is not kept", async () => {
  const { client, next, answer } = start();
  client.ask(subject("a"));
  client.ask(subject("b"));
  const request = await next();
  client.forget("a");
  await answer(request);
  await until("the answer is there", () => client.readingOf("b") !== undefined);
  expect(client.readingOf("a")).toBeUndefined();
  expect((await next()).forgotten).toEqual(["a"]);
});

test.each(["ends", "sends something else"])("a meter that %s leaves nothing known", async (what) => {
  const { client, next, answer, write, ends, closeAnswers } = start();
  client.ask(subject("a"));
  await answer(await next());
  await until("the answer is there", () => client.readingOf("a") !== undefined);
  if (what === "ends") closeAnswers();
  else await write("{");
  await until("the end is noticed", () => ends() === 1);
  expect(client.readingOf("a")).toBeUndefined();
  expect(client.devices()).toBeUndefined();
  expect(client.pid).toBeUndefined();
});
