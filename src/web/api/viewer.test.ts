import { expect, test } from "bun:test";
import { Viewer } from "./viewer.ts";

const message = (text: string) => new TextEncoder().encode(text);

/** Reads the next messages of a viewer. */
async function read(viewer: Viewer, count: number): Promise<string[]> {
  const reader = viewer.stream.getReader();
  const texts: string[] = [];
  while (texts.length < count) texts.push(new TextDecoder().decode((await reader.read()).value));
  reader.releaseLock();
  return texts;
}

test("a viewer that reads slowly gets the events, and after them only the latest snapshot", async () => {
  const viewer = new Viewer(() => {});
  viewer.replaceSnapshot(message("snapshot 1"));
  viewer.send(message("event 1"));
  viewer.replaceSnapshot(message("snapshot 2"));
  viewer.send(message("event 2"));
  expect(await read(viewer, 3)).toEqual(["event 1", "event 2", "snapshot 2"]);
});

test("a bounded number of events waits, and the others are counted", async () => {
  const viewer = new Viewer(() => {});
  for (let n = 0; n < 300; n++) viewer.send(message(`event ${n}`));
  viewer.replaceSnapshot(message("snapshot"));
  const texts = await read(viewer, 258);
  expect(texts.slice(0, 256)).toEqual(Array.from({ length: 256 }, (_, n) => `event ${n}`));
  expect(texts.slice(256)).toEqual(['event: missed\ndata: {"events":44}\n\n', "snapshot"]);
  viewer.send(message("later"));
  expect(await read(viewer, 1)).toEqual(["later"]);
});

test("a bounded number of bytes waits", async () => {
  const viewer = new Viewer(() => {});
  for (let n = 0; n < 4; n++) viewer.send(message("x".repeat(100_000)));
  const texts = await read(viewer, 3);
  expect(texts[2]).toBe('event: missed\ndata: {"events":2}\n\n');
});

test("a message that comes while the viewer waits is sent at once", async () => {
  const viewer = new Viewer(() => {});
  const next = read(viewer, 1);
  viewer.send(message("event"));
  expect(await next).toEqual(["event"]);
});

test("a comment is sent only where nothing else waits", async () => {
  const viewer = new Viewer(() => {});
  viewer.replaceSnapshot(message("snapshot"));
  viewer.sendIfIdle(message("comment 1"));
  expect(await read(viewer, 1)).toEqual(["snapshot"]);
  viewer.sendIfIdle(message("comment 2"));
  expect(await read(viewer, 1)).toEqual(["comment 2"]);
});

test("a viewer that leaves is reported once, and a stream that is closed ends", async () => {
  let left = 0;
  const viewer = new Viewer(() => left++);
  const reader = viewer.stream.getReader();
  const waiting = reader.read();
  await reader.cancel();
  viewer.send(message("too late"));
  expect([(await waiting).done, left]).toEqual([true, 1]);

  const closed = new Viewer(() => left++);
  const last = closed.stream.getReader().read();
  closed.close();
  expect([(await last).done, left]).toEqual([true, 1]);
});
