import { expect, test } from "bun:test";
import { constants } from "node:os";
import { decodeWaitStatus, signalName, signalNumber } from "./waitStatus.ts";

test("decodeWaitStatus() decodes an exit code", () => {
  expect(decodeWaitStatus(0)).toEqual({ code: 0, signal: null });
  expect(decodeWaitStatus(0x0100)).toEqual({ code: 1, signal: null });
  expect(decodeWaitStatus(0xff00)).toEqual({ code: 255, signal: null });
});

test("decodeWaitStatus() decodes a signal, with and without a core dump", () => {
  expect(decodeWaitStatus(9)).toEqual({ code: null, signal: 9 });
  expect(decodeWaitStatus(0x8b)).toEqual({ code: null, signal: 11 });
});

test("signalName() and signalNumber() know every signal of this system", () => {
  const aliases = new Set(["SIGIOT", "SIGPOLL", "SIGUNUSED", "SIGCLD"]);
  for (const [name, number] of Object.entries(constants.signals)) {
    if (aliases.has(name)) continue;
    expect([name, signalNumber(name)]).toEqual([name, number]);
    expect([number, signalName(number)]).toEqual([number, name]);
  }
});

test("signalName() and signalNumber() handle real-time and invalid signals", () => {
  expect(signalName(34)).toBe("SIGRTMIN");
  expect(signalName(64)).toBe("SIGRTMIN+30");
  expect(signalNumber("SIGRTMIN+30")).toBe(64);
  expect(signalNumber("SIGRTMIN+31")).toBeUndefined();
  expect(signalName(0)).toBe("signal 0");
  expect(signalName(65)).toBe("signal 65");
  expect(signalNumber("SIGNOTHING")).toBeUndefined();
});
