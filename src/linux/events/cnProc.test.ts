import { expect, test } from "bun:test";
import fc from "fast-check";
import { type MessageParts, procMessage } from "../../../test/support/procMessage.ts";
import {
  decodeProcEvent,
  encodeIgnore,
  encodeListen,
  PROC_EVENT_COMM,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
} from "./cnProc.ts";

function decode(message: DataView) {
  return decodeProcEvent(message, message.byteLength);
}

test("decodeProcEvent() decodes execs, renamings and exits of processes", () => {
  const parts = { pid: 4026, tgid: 4026, atNsec: 2_963_339_453_999n };
  const event = { pid: 4026, waitStatus: 0, atUsec: 2_963_339_453 };
  expect(decode(procMessage({ ...parts, what: PROC_EVENT_EXEC }))).toEqual({ kind: "exec", ...event });
  expect(decode(procMessage({ ...parts, what: PROC_EVENT_COMM }))).toEqual({ kind: "comm", ...event });
  expect(decode(procMessage({ ...parts, what: PROC_EVENT_EXIT, exitCode: 0x700 }))).toEqual({
    kind: "exit",
    ...event,
    waitStatus: 0x700,
  });
});

test("the exit of a thread is decoded with the pid of its process; its exec and renaming are not", () => {
  const parts = { pid: 4030, tgid: 4026 };
  expect(decode(procMessage({ ...parts, what: PROC_EVENT_EXIT, exitCode: 9 }))).toMatchObject({
    kind: "thread-exit",
    pid: 4026,
    waitStatus: 9,
  });
  expect(decode(procMessage({ ...parts, what: PROC_EVENT_COMM }))).toBe("other");
});

test("messages of other kinds are distinguished from malformed ones", () => {
  const exec = { what: PROC_EVENT_EXEC, pid: 1, tgid: 1 };
  expect(decode(procMessage({ ...exec, what: 1 }))).toBe("other");
  expect(decode(procMessage({ ...exec, what: 0, ack: 1 }))).toBe("other");
  expect(decode(procMessage({ ...exec, idx: 2 }))).toBe("other");
  expect(decode(procMessage({ ...exec, type: 2 }))).toBe("other");
  expect(decode(procMessage({ ...exec, ack: 1 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, seq: 5, netlinkSeq: 6 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, dataBytes: 23 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, dataBytes: 60_000 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, messageBytes: 15 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, messageBytes: 4000 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, pid: 0, tgid: 0 }))).toBe("malformed");
  expect(decode(procMessage({ ...exec, pid: -1, tgid: -1 }))).toBe("malformed");
});

test("a message longer than the buffer is malformed", () => {
  const message = procMessage({ what: PROC_EVENT_EXEC, pid: 1, tgid: 1 });
  expect(decodeProcEvent(message, message.byteLength + 1)).toBe("malformed");
});

test("every truncated message is malformed", () => {
  for (const what of [PROC_EVENT_EXEC, PROC_EVENT_COMM, PROC_EVENT_EXIT]) {
    const message = procMessage({ what, pid: 4026, tgid: 4026 });
    for (let length = 0; length < message.byteLength; length++) {
      expect(decodeProcEvent(message, length)).toBe("malformed");
      expect(decode(new DataView(message.buffer, 0, length))).toBe("malformed");
    }
  }
});

test("decodeProcEvent() never throws and never returns an invalid pid, whatever the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(220), (bytes, length) => {
      const event = decodeProcEvent(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), length);
      expect(event).toSatisfy((each) => typeof each === "string" || each.pid > 0);
    }),
    { numRuns: 5000 },
  );
});

test("a message with wrong fields is decoded with its own pid or not at all", () => {
  const word = fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(0, 1, 2, 0x200, 0x8000_0000, 0xffff_ffff));
  const pid = fc.oneof(fc.integer({ min: -5, max: 5 }), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }));
  const parts: fc.Arbitrary<MessageParts> = fc.record(
    {
      what: word,
      pid,
      tgid: pid,
      exitCode: word,
      idx: word,
      val: word,
      seq: word,
      ack: word,
      type: fc.nat(0xffff),
      dataBytes: fc.nat(0xffff),
      messageBytes: word,
    },
    { requiredKeys: ["what", "pid", "tgid"] },
  );
  fc.assert(
    fc.property(parts, fc.nat(120), (message, length) => {
      const event = decodeProcEvent(procMessage(message), length);
      const isOfMessage = (pid: number): boolean => pid === message.tgid && message.pid > 0;
      expect(event).toSatisfy((each) => typeof each === "string" || isOfMessage(each.pid));
    }),
    { numRuns: 5000 },
  );
});

test("one flipped bit outside of the pid never yields the event of another process", () => {
  const original = procMessage({ what: PROC_EVENT_EXIT, pid: 4026, tgid: 4026, exitCode: 0x700, seq: 77 });
  for (let bit = 0; bit < original.byteLength * 8; bit++) {
    const flipped = new DataView(original.buffer.slice(0));
    const byte = bit >> 3;
    flipped.setUint8(byte, flipped.getUint8(byte) ^ (1 << (bit & 7)));
    const isInTgid = byte >= 56 && byte < 60;
    expect(decode(flipped)).toSatisfy((each) => typeof each === "string" || isInTgid || each.pid === 4026);
  }
});

test("the requests have one word for every kernel, and two for kernels that accept a mask", () => {
  const [plain, masked] = encodeListen();
  expect(plain?.byteLength).toBe(40);
  expect(masked?.byteLength).toBe(44);
  expect([...(masked?.subarray(36) ?? [])]).toEqual([1, 0, 0, 0, 0x02, 0x02, 0, 0x80]);
  expect([...encodeIgnore().subarray(36)]).toEqual([2, 0, 0, 0]);
});
