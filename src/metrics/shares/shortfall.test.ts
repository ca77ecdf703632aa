import { describe, expect, it } from "bun:test";
import type { JobShares } from "./jobShares.ts";
import { ShortfallAlarm, shortfallOf, shortfallText } from "./shortfall.ts";

const shares = (sureCores: number | null, needCores: number | null, isWhileKeepingUp = true): JobShares => ({
  sureCores,
  need: needCores === null ? null : { cores: needCores, sampleSeconds: 1, isWhileKeepingUp },
});

describe("a shortfall", () => {
  it("is a need above the share, in words that say both", () => {
    const short = shortfallOf({ intent: null }, shares(2 / 9, 0.4));
    expect(short && shortfallText("live-7", short)).toBe(
      "live-7 is sure of 0.22 cores and needs 0.40: it will fall behind when the machine is full",
    );
    expect(shortfallOf({ intent: null }, shares(0.4, 0.4))).toBeUndefined();
  });

  it("is not guessed where share or need is unknown", () => {
    expect(shortfallOf({ intent: "live" }, shares(null, 0.4))).toBeUndefined();
    expect(shortfallOf({ intent: "live" }, shares(0.2, null))).toBeUndefined();
  });

  it("of a job with an unknown media time counts only for the intent live", () => {
    expect(shortfallOf({ intent: null }, shares(0.2, 0.4, false))).toBeUndefined();
    expect(shortfallOf({ intent: "live" }, shares(0.2, 0.4, false))).toBeDefined();
  });

  it("is reported once, after three judgements, and its end after three without it", () => {
    const alarm = new ShortfallAlarm();
    const judge = (text: string) => [...text].map((each) => alarm.judge("a", each === "x")?.at(0) ?? ".");
    expect(judge("xx.xxxxx.x..x").join("")).toBe(".....b.......");
    expect(alarm.isRaised("a")).toBe(true);
    expect(judge("...xxx").join("")).toBe("..e..b");
    // What is shown follows the alarm at the begin, and the numbers at the end.
    expect(shortfallOf({ intent: null }, { ...shares(0.2, 0.4), isShort: false })).toBeUndefined();
    expect(shortfallOf({ intent: null }, { ...shares(0.5, 0.4), isShort: true })).toBeUndefined();
    alarm.forget("a");
    expect(alarm.isRaised("a")).toBe(false);
  });
});
