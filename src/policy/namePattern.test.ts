import { describe, expect, it } from "bun:test";
import { compileNamePattern, exactName, namesOf } from "./namePattern.ts";

const find = (name: string, comm = "", argv0 = "", executable: string | undefined = undefined) =>
  exactName(name).find(namesOf(comm, argv0, executable));

describe("exactName()", () => {
  it("finds a process by its executable, by its first argument and by its comm", () => {
    expect(find("ffmpeg", "", "", "/usr/bin/ffmpeg")).toBe("ffmpeg");
    expect(find("ffmpeg", "", "./ffmpeg")).toBe("ffmpeg");
    expect(find("ffmpeg", "ffmpeg")).toBe("ffmpeg");
  });

  it("finds a name that the kernel has cut off after 15 bytes", () => {
    expect(find("a-very-long-encoder", "a-very-long-enc")).toBe("a-very-long-encoder");
    expect(find("a-very-long-encoder", "a-very-long")).toBeUndefined();
  });

  it("finds no parts of names, arguments or directories", () => {
    for (const argv0 of ["ffmpeg2", "xffmpeg", "/opt/ffmpeg/bin/x", "vi ffmpeg", "FFmpeg"]) {
      expect(find("ffmpeg", "", argv0, argv0)).toBeUndefined();
    }
  });

  it("finds nothing by an empty name, though a process may have no argument and no executable", () => {
    expect(find("", "sh")).toBeUndefined();
    expect(find("")).toBeUndefined();
  });

  it("has no special characters", () => {
    expect(find("ff*", "ffmpeg")).toBeUndefined();
    expect(find("ff*", "", "ff*")).toBe("ff*");
  });
});

describe("compileNamePattern()", () => {
  it("prefers the name of the executable to the first argument, and that to the comm", () => {
    const pattern = compileNamePattern("ff*");
    expect(pattern.find(namesOf("ff-c", "ff-a", "/bin/ff-e"))).toBe("ff-e");
    expect(pattern.find(namesOf("ff-c", "ff-a", "/bin/sh"))).toBe("ff-a");
    expect(pattern.find(namesOf("ff-c", "sh", undefined))).toBe("ff-c");
    expect(pattern.find(namesOf("sh", "", undefined))).toBeUndefined();
  });

  it("matches the whole of a cut-off name only", () => {
    expect(compileNamePattern("a-very-long-*").find(namesOf("a-very-long-enc", "", undefined))).toBe(
      "a-very-long-enc",
    );
    expect(compileNamePattern("*-encoder").find(namesOf("a-very-long-enc", "", undefined))).toBeUndefined();
  });
});
