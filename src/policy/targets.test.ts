import { describe, expect, it } from "bun:test";
import { matchTarget, USUAL_TARGETS } from "./targets.ts";

const names = { argv0: "", executable: undefined, comm: "" };

describe("matchTarget()", () => {
  it("knows a process by its executable, by how it was called, and by its name", () => {
    expect(matchTarget(USUAL_TARGETS, { ...names, executable: "/usr/bin/ffmpeg" })).toBe("ffmpeg");
    expect(matchTarget(USUAL_TARGETS, { ...names, argv0: "./ffmpeg" })).toBe("ffmpeg");
    expect(matchTarget(USUAL_TARGETS, { ...names, comm: "ffmpeg" })).toBe("ffmpeg");
  });

  it("knows a name that the kernel has cut off after 15 characters", () => {
    expect(matchTarget(["a-very-long-encoder"], { ...names, comm: "a-very-long-enc" })).toBe(
      "a-very-long-encoder",
    );
    expect(matchTarget(["a-very-long-encoder"], { ...names, comm: "a-very-long" })).toBeUndefined();
  });

  it("does not know parts of names, arguments or directories", () => {
    for (const argv0 of ["ffmpeg2", "xffmpeg", "/opt/ffmpeg/bin/x", "vi ffmpeg", "FFmpeg"]) {
      expect(matchTarget(["ffmpeg"], { ...names, argv0, executable: argv0 })).toBeUndefined();
    }
  });

  it("matches nothing by an empty target, though a process may show no argument and no executable", () => {
    expect(matchTarget([""], { ...names, comm: "sh" })).toBeUndefined();
  });

  it("takes the first of several targets", () => {
    expect(matchTarget(["sh", "ffmpeg"], { argv0: "ffmpeg", executable: "/bin/sh", comm: "x" })).toBe("sh");
  });
});
