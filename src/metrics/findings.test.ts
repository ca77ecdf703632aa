import { describe, expect, it } from "bun:test";
import { someHindrance } from "../../test/support/hindrances.ts";
import { someJob } from "../../test/support/jobs.ts";
import { someUse } from "../../test/support/samples.ts";
import { withFindings } from "./findings.ts";
import { type JobMedia, NO_MEDIA } from "./media/mediaReader.ts";

const media = (different: Partial<JobMedia> = {}): JobMedia => ({
  ...{ ...NO_MEDIA, source: "progress", mediaSeconds: 60, lengthSeconds: 100, percent: 60, state: "running" },
  ...different,
});
const HALF = { factor: 0.5, overMs: 15_000 };
const withMedia = (own: JobMedia, known: JobMedia): JobMedia =>
  withFindings(someUse(someJob(), {}, { media: own }), { media: known, hindrance: null }).media;

describe("the findings of another observer", () => {
  it("give a speed, and the time that is left from the place that was measured here", () => {
    const known = media({ mediaSeconds: 55, percent: 55, speed: HALF, remainingSeconds: 90 });
    expect(withMedia(media(), known)).toEqual(media({ speed: HALF, remainingSeconds: 80 }));
  });

  it("are whole where they are of another source", () => {
    const known = media({ source: "input", mediaSeconds: 55, speed: HALF, remainingSeconds: 90 });
    expect(withMedia(NO_MEDIA, known)).toEqual(known);
  });

  it("do not replace a speed that was measured here, and add nothing where they have none", () => {
    const own = media({ speed: { factor: 0.9, overMs: 15_000 } });
    expect(withMedia(own, media({ speed: HALF }))).toEqual(own);
    expect(withMedia(media(), media({ mediaSeconds: 55 }))).toEqual(media());
  });

  it("say that a job is stuck, but not that one is running which has read all", () => {
    const stuck = media({ speed: { factor: 0, overMs: 15_000 }, state: "stuck" });
    expect(withMedia(media(), stuck)).toMatchObject({ state: "stuck", remainingSeconds: null });
    expect(withMedia(media({ state: "finishing" }), media({ speed: HALF })).state).toBe("finishing");
  });

  it("say what holds a job back, where that was not found here", () => {
    const [known, own] = [someHindrance(), someHindrance({ verdict: "io" })];
    const use = someUse(someJob(), {});
    expect(withFindings(use, { media: NO_MEDIA, hindrance: known }).hindrance).toBe(known);
    expect(withFindings({ ...use, hindrance: own }, { media: NO_MEDIA, hindrance: known }).hindrance).toBe(
      own,
    );
  });
});
