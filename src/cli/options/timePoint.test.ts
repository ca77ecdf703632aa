import { afterEach, describe, expect, it } from "bun:test";
import { ValueFault } from "../../limits/units.ts";
import { parseTimePoint } from "./timePoint.ts";

const ZONE = process.env["TZ"];
afterEach(() => inZone(ZONE));

/** The runtime reads the zone again after TZ was set. */
function inZone(zone: string | undefined): void {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
}

/** Noon in Berlin. */
const NOW = Date.UTC(2026, 10, 26, 11, 0, 0);
const iso = (text: string, edge: "start" | "end" = "start", now = NOW): string =>
  new Date(parseTimePoint(text, now, edge)).toISOString();

describe("parseTimePoint()", () => {
  it.each([
    ["2026-11-26", "2026-11-25T23:00:00.000Z"],
    ["2026-11-26 14:00", "2026-11-26T13:00:00.000Z"],
    ["2026-07-26 14:00:05", "2026-07-26T12:00:05.000Z"],
    ["2026-11-26T14:00", "2026-11-26T13:00:00.000Z"],
    ["2026-11-26T14:00Z", "2026-11-26T14:00:00.000Z"],
    ["2026-11-26T14:00:05.250Z", "2026-11-26T14:00:05.250Z"],
    ["2026-11-26 14:00:05-05:30", "2026-11-26T19:30:05.000Z"],
    ["2026-11-26 14:00 UTC", "2026-11-26T14:00:00.000Z"],
    ["10:30", "2026-11-26T09:30:00.000Z"],
    // The last time that the clock showed it.
    ["22:30", "2026-11-25T21:30:00.000Z"],
    ["today", "2026-11-25T23:00:00.000Z"],
    ["Yesterday", "2026-11-24T23:00:00.000Z"],
    ["now", "2026-11-26T11:00:00.000Z"],
    ["2h", "2026-11-26T09:00:00.000Z"],
    ["90m", "2026-11-26T09:30:00.000Z"],
    ["1h30m", "2026-11-26T09:30:00.000Z"],
    ["7d", "2026-11-19T11:00:00.000Z"],
    ["1.5h", "2026-11-26T09:30:00.000Z"],
    ["-2h", "2026-11-26T09:00:00.000Z"],
    ["2 hours ago", "2026-11-26T09:00:00.000Z"],
    ["1 day 2 hours ago", "2026-11-25T09:00:00.000Z"],
    ["2w", "2026-11-12T11:00:00.000Z"],
    ["@1700000000", "2023-11-14T22:13:20.000Z"],
    ["99999999d", "1970-01-01T00:00:00.000Z"],
  ])("reads %s in local time", (text, expected) => {
    inZone("Europe/Berlin");
    expect(iso(text)).toBe(expected);
  });

  it("counts an hour in spring that the clock skips on from the hour before", () => {
    inZone("Europe/Berlin");
    expect(iso("2026-03-29 01:59")).toBe("2026-03-29T00:59:00.000Z");
    expect(iso("2026-03-29 02:30")).toBe("2026-03-29T01:30:00.000Z");
    expect(iso("2026-03-29 03:30")).toBe("2026-03-29T01:30:00.000Z");
  });

  it("includes an hour in autumn that the clock shows twice both times", () => {
    inZone("Europe/Berlin");
    expect(iso("2026-10-25 02:30", "start")).toBe("2026-10-25T00:30:00.000Z");
    expect(iso("2026-10-25 02:30", "end")).toBe("2026-10-25T01:30:00.000Z");
    expect(iso("2026-10-25 03:30", "end")).toBe("2026-10-25T02:30:00.000Z");
    const firstPass = Date.UTC(2026, 9, 25, 0, 40);
    expect(iso("02:30", "end", firstPass)).toBe("2026-10-25T00:30:00.000Z");
  });

  it("reads days of 23 and 25 hours", () => {
    inZone("Europe/Berlin");
    expect(iso("today", "start", Date.UTC(2026, 2, 29, 10))).toBe("2026-03-28T23:00:00.000Z");
    expect(iso("yesterday", "start", Date.UTC(2026, 2, 30, 10))).toBe("2026-03-28T23:00:00.000Z");
    expect(iso("yesterday", "start", Date.UTC(2026, 9, 26, 10))).toBe("2026-10-24T22:00:00.000Z");
  });

  it.each([
    "",
    "14",
    "90",
    "2026-11",
    "26.11.2026",
    "2026-02-30",
    "2026-13-01",
    "24:00",
    "10:60",
    "2026-11-26 10:00 +99:00",
    "3 months",
    "last night",
    "tomorrow",
    "2h later",
  ])("rejects %j", (text) => {
    expect(() => parseTimePoint(text, NOW, "start")).toThrow(ValueFault);
  });
});
