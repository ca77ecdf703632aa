import { expect, test } from "bun:test";
import { parseEvent, readEvents, type StreamEvent } from "./eventStream.ts";

const TEXT =
  'event: snapshot\ndata: {"name":"été"}\n\n: still there\n\ndata: one\ndata: two\n\nevent: cut\ndata: off';

/** Serves a text in pieces of this many bytes. */
function inPieces(size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(TEXT);
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
      controller.close();
    },
  });
}

test("events are the same however the bytes arrive", async () => {
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    const events: StreamEvent[] = [];
    let heard = 0;
    for await (const event of readEvents(inPieces(size), () => heard++)) events.push(event);
    expect(events).toEqual([
      { name: "snapshot", data: '{"name":"été"}' },
      { name: "message", data: "one\ntwo" },
    ]);
    expect(heard).toBeGreaterThan(0);
  }
});

test("a comment is no event, and a field that is not known is ignored", () => {
  expect(parseEvent(": still there")).toBeUndefined();
  expect(parseEvent("id: 7\nretry: 1000\ndata:x")).toEqual({ name: "message", data: "x" });
  expect(parseEvent("event: ended\r\ndata: 1")).toEqual({ name: "ended", data: "1" });
});
