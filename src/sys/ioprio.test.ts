import { expect, test } from "bun:test";
import { decodeIoprio, encodeIoprio, getIoprio, setIoprio } from "./ioprio.ts";

test("decodeIoprio() reverses encodeIoprio()", () => {
  for (const name of ["none", "realtime", "best-effort", "idle"] as const) {
    for (let level = 0; level < 8; level++) {
      expect(decodeIoprio(encodeIoprio({ class: name, level }))).toEqual({ class: name, level });
    }
  }
  expect(encodeIoprio({ class: "best-effort", level: 7 })).toBe(0x4007);
});

test("decodeIoprio() returns none for an unknown class", () => {
  expect(decodeIoprio(7 << 13)).toEqual({ class: "none", level: 0 });
});

test("the io priority of another process can be set, read back and restored", () => {
  const sleeper = Bun.spawn(["sleep", "60"]);
  try {
    const before = getIoprio(sleeper.pid);
    const wanted = encodeIoprio({ class: "best-effort", level: 6 });
    expect(setIoprio(sleeper.pid, wanted)).toBe(0);
    expect(getIoprio(sleeper.pid)).toBe(wanted);
    expect(setIoprio(sleeper.pid, before)).toBe(0);
    expect(decodeIoprio(getIoprio(sleeper.pid))).toEqual(decodeIoprio(before));
  } finally {
    sleeper.kill("SIGKILL");
  }
});

test("getIoprio() of a thread that does not exist returns −ESRCH", async () => {
  const gone = Bun.spawn(["true"]);
  await gone.exited;
  expect(getIoprio(gone.pid)).toBe(-3);
});
