import { describe, expect, it } from "bun:test";
import fc from "fast-check";
import { isGovernedPath, isTenantGroup, tenantGroupName } from "./job.ts";
import { faultInJobId, generateJobId, groupName } from "./model/jobId.ts";

describe("faultInJobId()", () => {
  it("finds none in what is safe as file name, cgroup name and unit name", () => {
    for (const jobId of ["a", "7", "transcode-001", "a.b_c-D", "x".repeat(128)]) {
      expect(faultInJobId(jobId)).toBeUndefined();
    }
  });

  it("says which character does not do, as it is written", () => {
    expect(faultInJobId("a/b")).toStartWith('character 2 is "/";');
    expect(faultInJobId("a\0b")).toStartWith('character 2 is "\\u0000";');
    expect(faultInJobId("job 🎬")).toStartWith('character 4 is " ";');
    expect(faultInJobId("🎬")).toStartWith('character 1 is "🎬";');
  });

  it("finds what is empty, too long or begins as a hidden file or an option does", () => {
    expect(faultInJobId("")).toBe("it is empty");
    expect(faultInJobId("x".repeat(129))).toBe("it has 129 characters, and at most 128 are allowed");
    for (const jobId of [".", "..", ".a", "-a", "_a"]) {
      expect(faultInJobId(jobId)).toBe("it does not start with a letter or a digit");
    }
  });

  it("lets nothing through that leads to another directory", () => {
    const almostIds = fc.array(fc.constantFrom("a", "Z", "0", ".", "_", "-", "/"), { maxLength: 130 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          almostIds.map((all) => all.join("")),
        ),
        (jobId) => {
          const isSafe = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(jobId);
          expect(faultInJobId(jobId) === undefined).toBe(isSafe);
        },
      ),
    );
  }, 60_000);
});

describe("generateJobId()", () => {
  it("begins with the command's own name", () => {
    expect(generateJobId("/usr/bin/ffmpeg", 1_700_000_000_000)).toMatch(/^ffmpeg-loyw3v28-[0-9a-f]{2}$/);
  });

  it("makes a valid id of any command", () => {
    for (const command of ["", "/", "..", "-", "🎬", "a b", "./run me.sh", "x".repeat(500)]) {
      expect(faultInJobId(generateJobId(command, Date.now()))).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (command) => {
        expect(faultInJobId(generateJobId(command, 0))).toBeUndefined();
      }),
    );
  });
});

describe("isGovernedPath()", () => {
  it("knows the cgroups of every state directory, and what the workload made below them", () => {
    const group = groupName("0a1b2c", "transcode-001");
    for (const path of [`/${group}`, `/user.slice/${group}`, `/system.slice/a.service/${group}/own`]) {
      expect(isGovernedPath(path)).toBe(true);
    }
  });

  it("rejects names that are not of ffrtmp", () => {
    for (const path of [
      "/",
      "",
      "/ffrtmp",
      "/ffrtmp.service",
      "/ffrtmp-watch.service",
      "/x-ffrtmp-0a1b2c-j",
      "/ffrtmp-0a1b2c-",
    ]) {
      expect(isGovernedPath(path)).toBe(false);
    }
  });
});

describe("tenantGroupName()", () => {
  it("is a safe file name that no job's group has", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 300 }), (tenant) => {
        const name = tenantGroupName("1f3a9c", tenant);
        expect(name).toMatch(/^[A-Za-z0-9._%~@-]{1,200}$/);
        expect(isTenantGroup(name)).toBeTrue();
        expect(isGovernedPath(`/a/${name}/b`)).toBeTrue();
        expect(isTenantGroup(groupName("1f3a9c", "a"))).toBeFalse();
      }),
    );
  });
});
