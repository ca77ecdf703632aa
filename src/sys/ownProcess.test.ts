import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { setSoftFileLimit } from "./ownProcess.ts";

interface FileLimits {
  soft: number | "unlimited";
  hard: number | "unlimited";
}

// Max open files            1024                 1048576              files
function readFileLimits(): FileLimits {
  const line = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const [soft, hard] = [line?.[1], line?.[2]].map((text) => (text === "unlimited" ? text : Number(text)));
  return { soft: soft ?? Number.NaN, hard: hard ?? Number.NaN };
}

const before = readFileLimits();
if (before.soft === "unlimited" || before.hard === "unlimited")
  process.stderr.write("not tried: RLIMIT_NOFILE: this machine sets no limit on open files\n");

test.skipIf(before.soft === "unlimited")(
  "setSoftFileLimit() changes the soft limit only, and children inherit it",
  () => {
    try {
      expect(setSoftFileLimit(777)).toBe(0);
      expect(readFileLimits()).toEqual({ soft: 777, hard: before.hard });
      const child = Bun.spawnSync(["grep", "Max open files", "/proc/self/limits"]);
      expect(child.stdout.toString()).toMatch(/^Max open files\s+777\s/);
    } finally {
      expect(setSoftFileLimit(Number(before.soft))).toBe(0);
    }
    expect(readFileLimits()).toEqual(before);
  },
);

test.skipIf(before.hard === "unlimited")(
  "setSoftFileLimit() above the hard limit is refused with −EINVAL",
  () => {
    expect(setSoftFileLimit(Number(before.hard) + 1)).toBe(-22);
    expect(readFileLimits()).toEqual(before);
  },
);
