import { expect, test } from "bun:test";
import { Connection } from "./connection.ts";
import type { ConnectionState } from "./inetDiag.ts";

const state = (fields: Partial<ConnectionState>): ConnectionState => ({
  ackedBytes: 0,
  receivedBytes: 0,
  retransmittedBytes: 0,
  sendQueueBytes: 0,
  receiveQueueBytes: 0,
  windowLimitedUsec: 0,
  ...fields,
});

function open(): Connection {
  return new Connection("net:[1]", { family: 2, sockid: new Uint8Array(48) });
}

test("the first reading counts from the start of the connection, later ones from the reading before", () => {
  const connection = open();
  expect(connection.compare(state({ ackedBytes: 500 }), 0)).toMatchObject({
    isFirst: true,
    increase: { sent: 500 },
    windowLimitedPercent: null,
  });
  const second = connection.compare(state({ ackedBytes: 700, windowLimitedUsec: 250_000 }), 1000);
  expect(second).toMatchObject({ isFirst: false, increase: { sent: 200 }, windowLimitedPercent: 25 });
});

test("a backlog is as long as the program writes for it, also when it cannot write any more", () => {
  const connection = open();
  connection.compare(state({ ackedBytes: 1000 }), 0);
  connection.compare(state({ ackedBytes: 3000 }), 2000);
  // The receiver stops, and 4,000 bytes wait.
  expect(connection.compare(state({ ackedBytes: 3000, sendQueueBytes: 4000 }), 6000).backlogSeconds).toBe(4);
  for (const atMs of [7000, 60_000])
    expect(connection.compare(state({ ackedBytes: 3000, sendQueueBytes: 4000 }), atMs).backlogSeconds).toBe(
      4,
    );
});

test("a backlog in seconds is unknown before the program has written", () => {
  expect(open().compare(state({ sendQueueBytes: 4000 }), 0).backlogSeconds).toBeNull();
  expect(open().compare(state({ sendQueueBytes: 0 }), 0).backlogSeconds).toBe(0);
});

test("counters that the kernel does not have are absent", () => {
  const connection = open();
  const without = state({ ackedBytes: null, windowLimitedUsec: null, sendQueueBytes: 10 });
  connection.compare(without, 0);
  expect(connection.compare(without, 1000)).toMatchObject({
    increase: { sent: null, received: 0 },
    backlogSeconds: null,
    windowLimitedPercent: null,
  });
});
