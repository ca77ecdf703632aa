import { afterEach, describe, expect, it } from "bun:test";
import { parseTimePoint } from "../options/timePoint.ts";
import { formatTime, formatTimeOfDay, tableTimes } from "./times.ts";

const ZONE = process.env["TZ"];
afterEach(() => inZone(ZONE));

function inZone(zone: string | undefined): void {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
}

const NOW = Date.UTC(2026, 10, 26, 13, 25, 55, 123);

describe("formatTimeOfDay()", () => {
  it.each([
    ["Europe/Berlin", "2026-11-26 14:25:55+01:00"],
    ["America/St_Johns", "2026-11-26 09:55:55-03:30"],
    ["Asia/Kathmandu", "2026-11-26 19:10:55+05:45"],
    ["UTC", "2026-11-26 13:25:55+00:00"],
  ])("is the local time of %s, with its offset", (zone, expected) => {
    inZone(zone);
    expect(formatTimeOfDay(NOW, "local")).toBe(expected);
    expect(formatTimeOfDay(NOW, "utc")).toBe("2026-11-26 13:25:55Z");
  });

  it("has the offset of that day: of summer in summer", () => {
    inZone("Europe/Berlin");
    expect(formatTimeOfDay(Date.UTC(2026, 6, 1), "local")).toBe("2026-07-01 02:00:00+02:00");
    expect(formatTimeOfDay(Date.UTC(2026, 9, 25, 0, 30), "local")).toBe("2026-10-25 02:30:00+02:00");
    expect(formatTimeOfDay(Date.UTC(2026, 9, 25, 1, 30), "local")).toBe("2026-10-25 02:30:00+01:00");
  });

  it("can be read again by --since", () => {
    inZone("Europe/Berlin");
    expect(parseTimePoint(formatTimeOfDay(NOW, "local", 3), 0, "start")).toBe(NOW);
    expect(parseTimePoint(formatTimeOfDay(NOW, "utc", 3), 0, "start")).toBe(NOW);
  });
});

describe("formatTime()", () => {
  it.each([
    [0, "0 s ago"],
    [59_999, "59 s ago"],
    [60_000, "1 min ago"],
    [3_599_999, "59 min ago"],
    [3_600_000, "1 h ago"],
    [47 * 3_600_000, "47 h ago"],
    [48 * 3_600_000, "2 days ago"],
    [90 * 86_400_000, "90 days ago"],
  ])("says of %d ms that it was %s", (ageMs, expected) => {
    expect(formatTime(NOW - ageMs, "relative", NOW)).toBe(expected);
  });

  it("is a lower bound of an age where it is an upper bound of a time", () => {
    expect(formatTime(NOW - 61_000, "relative", NOW, true)).toBe("≥ 1 min ago");
    expect(formatTime(NOW - 61_000, "utc", NOW, true)).toBe("≤ 2026-11-26 13:24:54Z");
  });

  it("is a time of day after the clock was set back", () => {
    inZone("UTC");
    expect(formatTime(NOW + 61_000, "relative", NOW)).toBe("2026-11-26 13:26:56+00:00");
    expect(formatTime(NOW + 61_000, "relative", NOW, true)).toBe("≤ 2026-11-26 13:26:56+00:00");
  });
});

describe("tableTimes()", () => {
  it("is relative only on a terminal, unless an option says so", () => {
    expect([tableTimes({}, true), tableTimes({}, false)]).toEqual(["relative", "local"]);
    expect(tableTimes({ time: "absolute" }, true)).toBe("local");
    expect(tableTimes({ time: "relative" }, false)).toBe("relative");
    expect(tableTimes({ utc: true }, true)).toBe("utc");
  });
});
