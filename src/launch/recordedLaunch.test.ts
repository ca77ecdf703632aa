import { describe, expect, it, test } from "bun:test";
import type { Circumstances } from "./circumstances.ts";
import { hasCommand, readRunLine } from "./commandLine.ts";
import { arePlain } from "./plainCalls.ts";
import { formatLaunch, parseLaunch, type RecordedLaunch } from "./recordedLaunch.ts";

const GROUP = "ffrtmp-0a1b2c-ffmpeg-1";
const NOW = 1_800_000_000_000;
const DAY_MS = 24 * 3600 * 1000;

const CIRCUMSTANCES: Circumstances = {
  words: ["--cpu-quota", "100"],
  directory: "/var/lib/ffrtmp",
  uid: 0,
  gid: 0,
  nice: 0,
  cgroup: "0::/\n",
  bootId: "boot",
  mounts: "26 25 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
  namespaces: ["pid:[4026531836]", "cgroup:[4026531835]"],
  hasSystemd: false,
  executable: [1, 2, 3, 4],
};

function recorded(label = "a"): RecordedLaunch {
  const path = `/sys/fs/cgroup/${GROUP}`;
  const job = { intent: null, slaEligible: false, tenant: null, labels: { label }, limits: {}, byHand: null };
  return {
    recordedMs: NOW,
    before: [
      { call: "mkdir", path },
      { call: "write", path: `${path}/cpu.max`, data: "50000 100000" },
      { call: "read", path: `${path}/cpu.max`, result: "50000 100000\n" },
    ],
    after: [],
    job: { ...job, cgroup: [{ hierarchy: "", path }], changes: [], decidedBy: null },
    running: { outcomes: [], cgroup: [{ hierarchy: "", path }], changes: [] },
  };
}

describe("parseLaunch()", () => {
  const text = formatLaunch(CIRCUMSTANCES, recorded(), GROUP) as string;
  const other = "ffrtmp-0a1b2c-ffprobe-2";

  it("returns the launch with the name of another job's cgroups", () => {
    const expected = JSON.parse(JSON.stringify(recorded()).replaceAll(GROUP, other));
    expect(parseLaunch(text, CIRCUMSTANCES, other, NOW)).toEqual(expected);
  });

  it("returns nothing in other circumstances, whatever differs", () => {
    for (const key of Object.keys(CIRCUMSTANCES) as (keyof Circumstances)[]) {
      const different = { ...CIRCUMSTANCES, [key]: "other" };
      expect({ key, launch: parseLaunch(text, different, other, NOW) }).toEqual({ key, launch: undefined });
    }
  });

  it("returns nothing a day later, and after the clock was set back", () => {
    expect(parseLaunch(text, CIRCUMSTANCES, other, NOW + DAY_MS - 1)).toBeDefined();
    expect(parseLaunch(text, CIRCUMSTANCES, other, NOW + DAY_MS)).toBeUndefined();
    expect(parseLaunch(text, CIRCUMSTANCES, other, NOW - 1)).toBeUndefined();
  });

  it("returns nothing for a file that is cut off", () => {
    for (let length = 0; length < text.length; length++)
      expect(parseLaunch(text.slice(0, length), CIRCUMSTANCES, other, NOW)).toBeUndefined();
  });
});

test("a text of the operator that looks like the mark of a cgroup's name is not recorded", () => {
  expect(formatLaunch(CIRCUMSTANCES, recorded("{group}"), GROUP)).toBeUndefined();
});

describe("arePlain()", () => {
  const own = `/sys/fs/cgroup/cpu/${GROUP}`;
  const plain = recorded();

  it("accepts the calls of a plain launch", () => {
    expect(arePlain(plain, GROUP)).toBe(true);
    expect(
      arePlain(
        { before: [], after: [{ call: "write", path: "/sys/fs/cgroup/cpu/tasks", data: "0" }] },
        GROUP,
      ),
    ).toBe(true);
  });

  it.each([
    { call: "mkdir", path: "/sys/fs/cgroup/cpu/other" },
    { call: "mkdir", path: own, error: "EEXIST" },
    { call: "rmdir", path: own },
    { call: "write", path: "/sys/fs/cgroup/cgroup.subtree_control", data: "+cpu" },
    { call: "write", path: `${own}/../cpu.shares`, data: "2" },
    { call: "write", path: `${own}/cpu.shares`, data: "2", error: "EINVAL" },
  ] as const)("rejects %j before the spawn", (call) => {
    expect(arePlain({ before: [call], after: [] }, GROUP)).toBe(false);
  });

  it.each([
    { call: "write", path: "/sys/fs/cgroup/cpu/tasks", data: "1" },
    { call: "write", path: `${own}/pids.max`, data: "0" },
    { call: "write", path: "/sys/fs/cgroup/cpu/tasks", data: "0", error: "EACCES" },
    { call: "read", path: `${own}/tasks`, result: "" },
  ] as const)("rejects %j after the spawn", (call) => {
    expect(arePlain({ before: [], after: [call] }, GROUP)).toBe(false);
  });
});

describe("readRunLine()", () => {
  const line = (...words: string[]) => readRunLine(["bun", "ffrtmp", ...words]);

  it("takes a command line apart at the first --", () => {
    expect(line("run", "--cpu-quota", "5", "--", "sh", "-c", "--", "x")).toEqual({
      words: ["--cpu-quota", "5"],
      command: ["sh", "-c", "--", "x"],
    });
  });

  it.each([
    [["attach", "--", "true"]],
    [["run", "true"]],
    [["run", "--"]],
    [["run", "--", ""]],
    [["run", "--intent", "--", "--json", "true"]],
    [["run", "--state-path", "/x", "--", "true"]],
    [["run", "--state-path=/x", "--", "true"]],
  ])("leaves %j to the parser of options", (words) => {
    expect(line(...words)).toBeUndefined();
  });

  it("recognizes where the parser has found another command", () => {
    const read = line("run", "sh", "--", "x") as NonNullable<ReturnType<typeof readRunLine>>;
    expect(hasCommand(read, ["sh", "--", "x"])).toBe(false);
    expect(hasCommand(read, ["x"])).toBe(true);
  });
});
