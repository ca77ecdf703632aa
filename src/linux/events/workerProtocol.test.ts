import { expect, test } from "bun:test";
import { appendEventRecord, type EventRecord, readEventRecords } from "./workerProtocol.ts";

test("records are read as they were written, in order", () => {
  const records: EventRecord[] = [
    { kind: "exec", pid: 4_194_303, waitStatus: 0, atUsec: 2 ** 52 },
    { kind: "exit", pid: 1, waitStatus: 0xff00, atUsec: 12 },
    { kind: "thread-exit", pid: 2, waitStatus: 9, atUsec: 13 },
    { kind: "comm", pid: 3, waitStatus: 0, atUsec: 14 },
    { kind: "ready", key: 2 ** 40 },
    { kind: "malformed" },
    { kind: "overrun" },
  ];
  const numbers: number[] = [];
  for (const record of records) appendEventRecord(numbers, record);
  expect([...readEventRecords(Float64Array.from(numbers))]).toEqual(records);
  expect([...readEventRecords(new Float64Array())]).toEqual([]);
});
