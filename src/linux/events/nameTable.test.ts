import { expect, test } from "bun:test";
import { NameTable } from "./nameTable.ts";

function has(table: NameTable, name: string): boolean {
  const text = new TextEncoder().encode(`/${name}`);
  return table.has(text, 1, text.length);
}

/** Names that share no hash with those below. */
const OTHERS = ["true", "sh", "cat", "python3", "ffmpeg2", "ffmpe"];

test("a new table has all names, and later those that were set", () => {
  const table = new NameTable();
  expect(table.hasAll()).toBe(true);
  expect(has(table, "anything")).toBe(true);
  table.set(["ffmpeg", "gst-launch-1.0"]);
  expect(table.hasAll()).toBe(false);
  expect(["ffmpeg", "gst-launch-1.0", ...OTHERS].filter((name) => has(table, name))).toEqual([
    "ffmpeg",
    "gst-launch-1.0",
  ]);
  table.set(["ffprobe"]);
  expect(["ffmpeg", "ffprobe"].filter((name) => has(table, name))).toEqual(["ffprobe"]);
  table.set([]);
  expect([table.hasNone(), has(table, "ffprobe")]).toEqual([true, false]);
  table.set(undefined);
  expect([table.hasNone(), has(table, "true")]).toEqual([false, true]);
});

test("a name that the kernel cuts is found by its whole text and by what is left of it", () => {
  const table = new NameTable();
  table.set(["a-name-of-15-by"]);
  expect(has(table, "a-name-of-15-by")).toBe(true);
  expect(has(table, "a-name-of-15-bytes-and-more")).toBe(true);
  expect(has(table, "a-name-of-15-b")).toBe(false);
  // The kernel cuts the last character, whose first byte stays.
  table.set(["a-name-of-14-b\u00e9-x"]);
  const kept = new TextEncoder().encode("a-name-of-14-b\u00e9").subarray(0, 15);
  expect(table.has(kept, 0, kept.length)).toBe(true);
  expect(has(table, "a-name-of-14-b\u00e9-x")).toBe(true);
});

test("another table with the same memory has the same names", () => {
  const table = new NameTable();
  const other = new NameTable(table.bytes);
  table.set(["ffmpeg"]);
  expect(["ffmpeg", "true"].filter((name) => has(other, name))).toEqual(["ffmpeg"]);
  expect(has(new NameTable(table.bytes), "true")).toBe(false);
});
