import { expect, test } from "bun:test";
import fc from "fast-check";
import { runBpf } from "../../../test/support/bpfInterpreter.ts";
import { type MessageParts, procMessage } from "../../../test/support/procMessage.ts";
import { decodeProcEvent, OFFSET, PROC_EVENT_COMM, PROC_EVENT_EXEC, PROC_EVENT_EXIT } from "./cnProc.ts";
import { buildProcEventFilter, buildRenamesFilter } from "./procConnector.ts";

const OWN_PID = 77;
const filter = buildProcEventFilter(OWN_PID, true);
const renamesFilter = buildRenamesFilter(OWN_PID);

function passes(program: Uint8Array, message: DataView): boolean {
  const loadBigEndian = (offset: number) =>
    offset + 4 <= message.byteLength ? message.getUint32(offset, false) : undefined;
  return runBpf(program, loadBigEndian) !== 0;
}

/** Returns whether a message is accepted by one of the two sockets. */
function isAccepted(message: DataView): boolean {
  const [isMain, isRename] = [passes(filter, message), passes(renamesFilter, message)];
  expect(isMain && isRename).toBe(false);
  return isMain || isRename;
}

const PROC_EVENT_FORK = 1;

test("execs, renamings and exits of processes are accepted", () => {
  for (const what of [PROC_EVENT_EXEC, PROC_EVENT_COMM, PROC_EVENT_EXIT]) {
    expect(isAccepted(procMessage({ what, pid: 70_000, tgid: 70_000 }))).toBe(true);
  }
  expect(isAccepted(procMessage({ what: PROC_EVENT_EXIT, pid: 5, tgid: 5, exitCode: 9 }))).toBe(true);
});

test("renamings have a socket of their own, except those of this process, its heartbeat", () => {
  const renaming = (pid: number, tgid = pid) => procMessage({ what: PROC_EVENT_COMM, pid, tgid });
  expect(passes(filter, renaming(70_000))).toBe(false);
  expect(passes(renamesFilter, renaming(70_000))).toBe(true);
  expect(passes(filter, renaming(OWN_PID))).toBe(true);
  expect(passes(renamesFilter, renaming(OWN_PID))).toBe(false);
  expect(isAccepted(renaming(78, OWN_PID))).toBe(false);
  for (const what of [PROC_EVENT_EXEC, PROC_EVENT_EXIT])
    expect(passes(renamesFilter, procMessage({ what, pid: 5, tgid: 5 }))).toBe(false);
});

test("with names, only renamings to one of them are accepted, whatever follows the name", () => {
  const names = ["ffmpeg", "gst-launch-1.0", "a-very-long-enc", "ff", "Ünïcödé"];
  const program = buildRenamesFilter(OWN_PID, names);
  const isAcceptedAs = (name: string, parts: Partial<MessageParts> = {}): boolean => {
    const message = procMessage({ what: PROC_EVENT_COMM, pid: 5, tgid: 5, ...parts });
    new TextEncoder().encodeInto(name, new Uint8Array(message.buffer, OFFSET.comm, 16));
    return passes(program, message);
  };
  for (const name of names) {
    expect(isAcceptedAs(name)).toBe(true);
    expect(isAcceptedAs(name, { pid: 6 })).toBe(false);
    expect(isAcceptedAs(name, { pid: OWN_PID, tgid: OWN_PID })).toBe(false);
  }
  for (const name of ["", "f", "ffmpe", "ffmpeg2", "FFMPEG", "gst-launch-1.", "a-very-long-en", "sh"])
    expect(isAcceptedAs(name)).toBe(false);
  fc.assert(fc.property(fc.string({ maxLength: 5 }), (name) => isAcceptedAs(name) === names.includes(name)));
});

test("no names accept no renaming, and more than the kernel has room for accept all", () => {
  const message = procMessage({ what: PROC_EVENT_COMM, pid: 5, tgid: 5 });
  expect(passes(buildRenamesFilter(OWN_PID, []), message)).toBe(false);
  const many = Array.from({ length: 201 }, (_, index) => `name-${index}`);
  expect(passes(buildRenamesFilter(OWN_PID, many), message)).toBe(true);
  expect(buildRenamesFilter(OWN_PID, many.slice(1)).length / 8).toBeLessThan(4096);
});

test("events of threads are dropped, except an exit with a status other than 0", () => {
  expect(isAccepted(procMessage({ what: PROC_EVENT_COMM, pid: 6, tgid: 5 }))).toBe(false);
  expect(isAccepted(procMessage({ what: PROC_EVENT_EXIT, pid: 6, tgid: 5 }))).toBe(false);
  expect(isAccepted(procMessage({ what: PROC_EVENT_EXIT, pid: 6, tgid: 5, exitCode: 0x500 }))).toBe(true);
});

test("without exits, those of processes and of threads are dropped, and all else is as before", () => {
  const withoutExits = buildProcEventFilter(OWN_PID, false);
  for (const what of [PROC_EVENT_EXEC, PROC_EVENT_COMM, PROC_EVENT_EXIT, PROC_EVENT_FORK]) {
    for (const parts of [
      { pid: 5, tgid: 5 },
      { pid: 6, tgid: 5 },
      { pid: OWN_PID, tgid: OWN_PID },
      { pid: 6, tgid: 5, exitCode: 0x500 },
    ]) {
      const message = procMessage({ what, ...parts });
      expect(passes(withoutExits, message)).toBe(what !== PROC_EVENT_EXIT && passes(filter, message));
    }
  }
});

test("forks, acknowledgements and other connectors are dropped", () => {
  expect(isAccepted(procMessage({ what: PROC_EVENT_FORK, pid: 5, tgid: 5 }))).toBe(false);
  expect(isAccepted(procMessage({ what: 0, pid: 0, tgid: 0, ack: 1 }))).toBe(false);
  expect(isAccepted(procMessage({ what: PROC_EVENT_EXEC, pid: 5, tgid: 5, idx: 3 }))).toBe(false);
});

test("a truncated message is dropped", () => {
  const message = procMessage({ what: PROC_EVENT_EXEC, pid: 5, tgid: 5 });
  for (let length = 0; length < 60; length++) {
    expect(isAccepted(new DataView(message.buffer, 0, length))).toBe(false);
  }
});

test("every message that the decoder would report is accepted", () => {
  const pid = fc.integer({ min: 1, max: 2 ** 22 });
  const what = fc.constantFrom(0, 1, PROC_EVENT_EXEC, 4, 0x40, PROC_EVENT_COMM, PROC_EVENT_EXIT, 0x4000_0000);
  const parts: fc.Arbitrary<MessageParts> = fc.record({ what, pid, tgid: pid, exitCode: fc.nat(0xffff) });
  fc.assert(
    fc.property(parts, fc.boolean(), (message, isThread) => {
      const built = procMessage(isThread ? message : { ...message, tgid: message.pid });
      const event = decodeProcEvent(built, built.byteLength);
      const isWanted = typeof event === "object" && (event.kind !== "thread-exit" || event.waitStatus !== 0);
      expect(isAccepted(built)).toBe(isWanted);
    }),
  );
});
