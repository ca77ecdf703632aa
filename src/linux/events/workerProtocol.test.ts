import { expect, test } from "bun:test";
import { type EventRecord, EventRecordWriter, readEventRecords } from "./workerProtocol.ts";

test("records are read as they were written, in order and once", () => {
  const records: EventRecord[] = [
    { kind: "exec", pid: 4_194_303, waitStatus: 0, atUsec: 2 ** 52 },
    { kind: "exit", pid: 1, waitStatus: 0xff00, atUsec: 12 },
    { kind: "thread-exit", pid: 2, waitStatus: 9, atUsec: 13 },
    { kind: "comm", pid: 3, waitStatus: 0, atUsec: 14 },
    { kind: "ready", key: 2 ** 40 },
    { kind: "malformed" },
    { kind: "overrun" },
  ];
  const writer = new EventRecordWriter();
  for (const record of records) writer.write(record);
  expect(writer.count).toBe(records.length);
  expect([...readEventRecords(writer.flush())]).toEqual(records);
  expect(writer.count).toBe(0);
  expect([...readEventRecords(writer.flush())]).toEqual([]);
});
