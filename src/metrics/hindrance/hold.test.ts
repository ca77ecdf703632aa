import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { Hold } from "./hold.ts";

type Kind = "a" | "b" | "c";
/** Adds a finding for each letter, `stepMs` apart, and returns what is said after each: `.` is nothing, `?` unknown. */
function say(findings: string, stepMs = 10_000): string {
  const hold = new Hold<Kind, { verdict: Kind }>();
  return [...findings]
    .map((letter, index) => {
      const finding = letter === "." ? null : letter === "?" ? "unknown" : { verdict: letter as Kind };
      return hold.add(index * stepMs, finding)?.finding.verdict ?? ".";
    })
    .join("");
}

describe("a finding", () => {
  it("is said after 30 s of it, and ends after 30 s without it", () => {
    expect(say("aaaaa......")).toBe("...aaaaa...");
  });

  it("is not said where it was interrupted, and not ended by an interruption", () => {
    expect(say("aa.aa.aaa..")).toBe("...........");
    expect(say("aaaa..a..aaa")).toBe("...aaaaaaaaa");
  });

  it("is replaced by another one without a gap", () => {
    expect(say("aaaabbbb")).toBe("...aaaab");
    expect(say("aaaa.bbbb")).toBe("...aaaaab");
  });

  it("ends when others alternate", () => {
    expect(say("aaaabcbcbcbc")).toBe("...aaaaaaa..");
  });

  it("waits for 30 s after the end of another one, where that ended late", () => {
    const said = say(`${"a".repeat(31)}${".".repeat(28)}${"c".repeat(3)}${"b".repeat(70)}`, 1000);
    expect(/^\.+a+(\.+)b+$/.exec(said)?.[1]).toHaveLength(30);
  });

  it("has the time of its first and its last sample", () => {
    const hold = new Hold<Kind, { verdict: Kind; at: number }>();
    for (const second of [5, 15, 25, 35]) hold.add(second * 1000, { verdict: "a", at: second });
    expect(hold.add(45_000, null)).toEqual({
      finding: { verdict: "a", at: 35 },
      sinceBootMs: 5000,
      lastBootMs: 35_000,
    });
  });

  it("is forgotten when no sample follows for longer than 30 s", () => {
    expect(say("aaaa", 31_000)).toBe("....");
    expect(say("aaaa", 30_000)).toBe(".aaa");
  });

  it("is neither interrupted nor kept for long by samples that say nothing", () => {
    expect(say("a?aa????a")).toBe("...aaaa..");
    expect(say("????")).toBe("....");
  });

  it("is said after the time that is given", () => {
    const hold = new Hold<Kind, { verdict: Kind }>(1000);
    expect([0, 999, 1000].map((ms) => hold.add(ms, { verdict: "a" }) !== null)).toEqual([false, false, true]);
  });
});

describe("what is said", () => {
  const letters = fc.array(
    fc.record({ kind: fc.constantFrom<Kind | null>("a", "b", null), times: fc.integer({ min: 1, max: 80 }) }),
    { maxLength: 12 },
  );
  const stepsMs = fc.integer({ min: 200, max: 10_000 });

  /** Returns what is said at each of these findings, with those of the times before. */
  function replay(runs: readonly { kind: Kind | null; times: number }[], stepMs: number) {
    const hold = new Hold<Kind, { verdict: Kind }>();
    const found: (Kind | null)[] = runs.flatMap(({ kind, times }) => Array(times).fill(kind));
    let last: Kind | null = null;
    return found.map((kind, index) => {
      const atMs = index * stepMs;
      const said = hold.add(atMs, kind === null ? null : { verdict: kind });
      const now = said?.finding.verdict ?? null;
      const isChange = now !== last;
      last = now;
      const before = (ms: number) =>
        new Set(found.slice(Math.max(0, index - Math.floor(ms / stepMs)), index + 1));
      return { atMs, kind, said, now, isChange, before };
    });
  }

  it("changes at most once in 30 s", () => {
    fc.assert(
      fc.property(letters, stepsMs, (runs, stepMs) => {
        const changes = replay(runs, stepMs).filter(({ isChange }) => isChange);
        const gapsMs = changes.slice(1).map(({ atMs }, index) => atMs - (changes[index]?.atMs ?? 0));
        expect(gapsMs.filter((ms) => ms < 30_000)).toEqual([]);
      }),
    );
  });

  it("was found for 30 s without a pause", () => {
    fc.assert(
      fc.property(letters, stepsMs, (runs, stepMs) => {
        const begins = replay(runs, stepMs).filter(({ isChange, now }) => isChange && now !== null);
        const wrong = begins.filter(
          ({ before, now, said, atMs }) =>
            before(30_000).size !== 1 || !before(0).has(now) || atMs - (said?.sinceBootMs ?? 0) < 30_000,
        );
        expect(wrong).toEqual([]);
      }),
    );
  });

  it("follows what is found", () => {
    fc.assert(
      fc.property(letters, stepsMs, (runs, stepMs) => {
        const steps = replay(runs, stepMs);
        const stale = steps.filter(({ now, before }) => now !== null && !before(100_000).has(now));
        const missing = steps.filter(
          ({ atMs, before, now, kind }) => atMs >= 100_000 && before(100_000).size === 1 && now !== kind,
        );
        expect({ stale, missing }).toEqual({ stale: [], missing: [] });
      }),
    );
  });
});
