import { afterEach, expect, test } from "bun:test";
import { useDocuments } from "../../../test/support/documents.ts";
import { someEndedJob, someJob, someResult } from "../../../test/support/jobs.ts";
import { until } from "../../../test/support/sandbox.ts";
import { EventReader } from "../../../test/support/serverSentEvents.ts";
import type { DaemonDocuments } from "../../daemon/documents.ts";
import type { DaemonEvents } from "../../daemon/events.ts";
import { API_PROBLEM, API_STREAM } from "../../json/apiDocuments.ts";
import { EventStream } from "./eventStream.ts";

const open = useDocuments();
const streams: EventStream[] = [];
afterEach(() => {
  for (const stream of streams.splice(0)) stream.stop();
});

const request = (init: RequestInit = {}) =>
  new Request("http://localhost:9797/api/v1/stream", init) as Bun.BunRequest;

/** A stream whose snapshots are numbers, each made for all viewers together. */
function start(bus: DaemonEvents) {
  let made = 0;
  const documents = {
    snapshot: () => `{"number":${++made}}`,
    inBackground: <T>(work: () => T) => work(),
  } as unknown as DaemonDocuments;
  const stream = new EventStream(bus, () => documents, { intervalMs: 10, keepAliveMs: 10_000 });
  streams.push(stream);
  return { stream, made: () => made };
}

async function view(stream: EventStream) {
  const response = await stream.answer(request());
  expect(response.status).toBe(200);
  return new EventReader(response);
}

test("every viewer gets a snapshot at once, and then the same ones as all others", async () => {
  const { stream } = start(open().bus);
  const [one, two] = [await view(stream), await view(stream)];
  const first = await one.next();
  expect(first).toMatchObject({ event: "snapshot", data: '{"number":1}' });
  expect(Number(first.id)).toBeGreaterThan(1.7e12);
  expect(await two.next()).toMatchObject({ data: '{"number":2}' });
  await until("both get the same one", async () => {
    const [ofOne, ofTwo] = await Promise.all([one.next(), two.next()]);
    return ofOne.data === ofTwo.data && ofOne.id === ofTwo.id;
  });
  await one.leave();
  await two.leave();
});

test("no snapshot is made without a viewer", async () => {
  const { stream, made } = start(open().bus);
  const viewer = await view(stream);
  await viewer.next();
  await viewer.leave();
  const before = made();
  await Bun.sleep(100);
  expect(made()).toBe(before);
});

test("ends and events are sent as they happen, as the schemas describe them, without secrets", async () => {
  const { bus, documents } = open();
  const stream = new EventStream(bus, () => documents);
  streams.push(stream);
  const viewer = await view(stream);
  const [job, ended] = [
    someJob({ command: ["ffmpeg", "-i", "rtmp://live.example/app/abcd-s3cr3t-efgh"] }),
    someEndedJob({ command: ["curl", "--password", "s3cr3t"] }),
  ];
  bus.emit({ kind: "job-attached", job, target: "ffmpeg", rule: undefined });
  bus.emit({ kind: "job-ended", job: ended, result: someResult(ended) });
  bus.emit({ kind: "hook-ended", jobId: "x", failure: "exited with code 1", output: "token s3cr3t" });
  const events = [await viewer.next(), await viewer.next(), await viewer.next(), await viewer.next()];
  expect(events.map(({ event }) => event)).toEqual(["event", "ended", "event", "snapshot"]);
  for (const { event, data } of events) {
    expect(API_STREAM[event]?.safeParse(JSON.parse(data)).error?.message).toBeUndefined();
    expect(data).not.toContain("s3cr3t");
  }
  expect(JSON.parse(events[2]?.data ?? "")).toMatchObject({ kind: "hook_ended", level: "warn" });
});

test("the 65th viewer is refused, until another one leaves", async () => {
  const { stream } = start(open().bus);
  const viewers = await Promise.all(Array.from({ length: 64 }, () => view(stream)));
  const refused = await stream.answer(request());
  expect(refused.status).toBe(503);
  expect(API_PROBLEM.safeParse(await refused.json()).error?.message).toBeUndefined();
  await viewers[0]?.leave();
  expect((await stream.answer(request())).status).toBe(200);
});

test("a request for the headers alone opens no stream", async () => {
  const { stream, made } = start(open().bus);
  const response = await stream.answer(request({ method: "HEAD" }));
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect([await response.text(), made()]).toEqual(["", 0]);
});
