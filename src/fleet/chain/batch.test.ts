import { expect, test } from "bun:test";
import { parseMessage } from "../hub/unpack.ts";
import type { ResultLine, ResultsMessage } from "../messages/results.ts";
import { nextBatch } from "./batch.ts";
import { locate } from "./chain.ts";

const MAX_MESSAGE_BYTES = 256 * 1024;

function batchOf(lines: ResultLine[], sent = 0) {
  const position = locate(
    { ledgerId: "a", to: sent, toKey: "k", streamSeq: 7, before: [{ ledgerId: "z", to: 5, toKey: "y" }] },
    { ledgerId: "a", lastSeq: 1000, keyOf: () => undefined },
  );
  if (position.kind !== "position") throw new Error("this ledger continues");
  const batch = nextBatch(position, "boot", (after, max) =>
    lines.filter(({ seq }) => seq > after).slice(0, max),
  );
  return batch && { ...batch, message: parseMessage(new TextEncoder().encode(batch.text)) as ResultsMessage };
}

test("a message says what it contains, and how far the earlier ledgers came", () => {
  expect(batchOf([])).toBeUndefined();
  // The result with the number 4 was pruned.
  const batch = batchOf([{ seq: 5, key: "e", job_id: "j" }], 3);
  expect(batch).toMatchObject({ to: 5, toKey: "e" });
  expect(batch?.message).toEqual({
    v: 1,
    ledger_id: "a",
    boot_id: "boot",
    from: 4,
    to: 5,
    to_key: "e",
    before: [{ ledger_id: "z", to: 5, to_key: "y" }],
    results: [{ seq: 5, key: "e", job_id: "j" }],
  });
});

test("a message has at most 200 results, and no more bytes than the hub accepts", () => {
  const lines = (count: number, length: number) =>
    Array.from({ length: count }, (_, index) => ({ seq: index + 1, key: "k", text: "ü".repeat(length) }));
  expect(batchOf(lines(300, 1))?.to).toBe(200);
  const large = batchOf(lines(300, 2000));
  expect(large?.to).toBeGreaterThan(30);
  expect(Buffer.byteLength(large?.text ?? "")).toBeLessThan(MAX_MESSAGE_BYTES);
  expect(large?.message.results).toHaveLength(large?.to ?? 0);
});

test("a message that can hardly be compressed has no more bytes than the hub accepts", () => {
  const printable = Array.from({ length: 94 }, (_, index) => String.fromCharCode(0x20 + index));
  const symbols = printable.filter((each) => each !== '"' && each !== "\\");
  const noise = (length: number) =>
    Array.from({ length }, () => symbols[Math.floor(Math.random() * symbols.length)]).join("");
  const lines = Array.from({ length: 200 }, (_, index) => ({ seq: index + 1, key: "k", text: noise(2000) }));
  for (const batch of [batchOf(lines), batchOf([{ seq: 1, key: "k", log: noise(150_000) }])]) {
    expect(batch?.message.results).toHaveLength(batch?.to ?? 0);
    expect(Buffer.byteLength(batch?.text ?? "")).toBeGreaterThan(100_000);
    expect(Buffer.byteLength(batch?.text ?? "")).toBeLessThan(MAX_MESSAGE_BYTES - 8192);
  }
});

test("a result that is too long for a message loses what its end does not need, and says so", () => {
  const command = ["ffmpeg", "x".repeat(300_000)];
  const line = { seq: 1, key: "k", exit_code: 7, command, labels: { a: "b" } };
  expect(batchOf([line, { seq: 2, key: "l" }])?.message.results).toEqual([
    { seq: 1, key: "k", exit_code: 7, labels: { a: "b" }, shortened: true },
    { seq: 2, key: "l" },
  ]);
  const labels = { a: "ü".repeat(150_000) };
  const batch = batchOf([{ ...line, labels }]);
  expect(batch?.message.results).toEqual([{ seq: 1, key: "k", exit_code: 7, shortened: true }]);
  // Also where the length is in a key that always stays: it must not hold up the results that follow.
  const endless = batchOf([
    { ...line, log: "x".repeat(300_000) },
    { seq: 2, key: "l" },
  ]);
  expect(endless?.message.results).toEqual([
    { seq: 1, key: "k", shortened: true, fault: "it is too long" },
    { seq: 2, key: "l" },
  ]);
});
