import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { procTree, statLine } from "../../test/support/procTree.ts";
import { type Host, realHost } from "../linux/host.ts";
import { type ProcStat, readStat } from "../linux/proc/stat.ts";
import { FactReader } from "./procFacts.ts";

const ID = "9f2c".repeat(16);
const OWN = "01ab".repeat(16);

const FILES = {
  "self/cgroup": `0::/docker/${OWN}\n`,
  uptime: "2000.50 100.00\n",
  "1/stat": statLine({ pid: 1, comm: "systemd", ppid: 0 }),
  "1/cmdline": "/sbin/init\0",
  "812/stat": statLine({ pid: 812, comm: "nginx", ppid: 1 }),
  "812/cmdline": "nginx: worker process\0",
  "812/exe": "→ /usr/sbin/nginx",
  "4026/stat": statLine({ pid: 4026, ppid: 812, startTicks: 123456 }),
  "4026/cmdline": "/usr/bin/ffmpeg\0-i\0in.mp4\0",
  "4026/exe": "→ /usr/bin/ffmpeg (deleted)",
  "4026/cwd": "→ /srv/live",
  "4026/status": "Name:\tffmpeg\nUid:\t7\t1001\t7\t7\nGid:\t7\t1002\t7\t7\n",
  "4026/cgroup": `4:memory:/docker/${OWN}/docker/${ID}\n0::/docker/${OWN}\n`,
  "4026/environ": "A=1\0TENANT=acme=x\0TENANT=late\0odd\0",
};

function statOf(host: Host, pid: number): ProcStat {
  const stat = readStat(host, pid);
  if (stat === "gone") throw new Error(`no stat of ${pid}`);
  return stat;
}

test("facts come from /proc", () => {
  using proc = procTree({ ...FILES, passwd: "root:x:0:0::/:/bin/sh\nlive:x:1001:1::/:/bin/sh\n" });
  const { host } = proc;
  const reader = new FactReader(host, { users: `${host.procRoot}/passwd`, groups: `${host.procRoot}/no` });
  const facts = reader.of(statOf(host, 4026));
  expect(facts.names).toEqual({ comm: "ffmpeg", argv0: "ffmpeg", executable: "ffmpeg" });
  expect(facts.argv).toEqual(["/usr/bin/ffmpeg", "-i", "in.mp4"]);
  expect(facts).toMatchObject({ executable: "/usr/bin/ffmpeg", cwd: "/srv/live", ageMs: 765_940, ppid: 812 });
  expect([facts.uid, facts.user, facts.gid, facts.group]).toEqual([1001, "live", 1002, undefined]);
  expect(facts.ancestors).toEqual([
    { comm: "nginx", argv0: "nginx: worker process", executable: "nginx" },
    { comm: "systemd", argv0: "init", executable: "" },
  ]);
  expect(facts.cgroups).toEqual([`/docker/${OWN}/docker/${ID}`, `/docker/${OWN}`]);
  expect(facts.environment).toEqual(
    new Map([
      ["A", "1"],
      ["TENANT", "acme=x"],
    ]),
  );
});

test("the container of ffrtmp itself counts as the host", () => {
  using proc = procTree(FILES);
  const reader = new FactReader(proc.host);
  expect(reader.of(statOf(proc.host, 4026)).container).toBe(ID);
  expect(reader.of(statOf(proc.host, 812)).container).toBeUndefined();
});

test("a container counts in the hierarchy where root made its cgroup, and where it is not visible", () => {
  const other = "7e8d".repeat(16);
  using proc = procTree({
    ...FILES,
    "self/mountinfo": "33 28 0:29 / /cg/memory rw shared:9 - cgroup cgroup rw,memory\n",
    "4026/cgroup": `4:memory:/u/docker-${ID}.scope\n3:pids:/u/docker-${other}.scope\n`,
  });
  const containerWith = (owners: Record<string, number>): string | undefined => {
    const cgroupFs = { ...proc.host.cgroupFs, owner: (path: string) => owners[path] };
    const host = { ...proc.host, cgroupFs };
    return new FactReader(host).of(statOf(host, 4026)).container;
  };
  const directory = `/cg/memory/u/docker-${ID}.scope`;
  expect(containerWith({ [directory]: 0, "/cg/memory/u": 0 })).toBe(ID);
  // The hierarchy of pids is not mounted here.
  expect(containerWith({ [directory]: 0, "/cg/memory/u": 1001 })).toBe(other);
  expect(containerWith({ [directory]: 1001, "/cg/memory/u": 0 })).toBe(other);
});

test("labels come from the cgroups of all hierarchies", () => {
  const cgroups =
    "4:memory:/\n3:freezer:/slurm/uid_0/job_17/step_0\n1:name=systemd:/system.slice/slurmd.service\n";
  using proc = procTree({ ...FILES, "4026/cgroup": cgroups });
  expect(new FactReader(proc.host).of(statOf(proc.host, 4026)).labels).toEqual({
    scheduler: "slurm",
    slurm_job: "17",
    slurm_step: "0",
    systemd_unit: "slurmd.service",
  });
});

test("a long command line and a long environment are read in part", () => {
  using proc = procTree({
    ...FILES,
    "4026/cmdline": `ffmpeg\0${"x".repeat(40_000)}\0`,
    "4026/environ": `A=1\0PAD=${"x".repeat(131_072)}\0LATE=1\0`,
  });
  const facts = new FactReader(proc.host).of(statOf(proc.host, 4026));
  expect(facts).toMatchObject({ isArgvCut: true, isEnvironmentCut: true });
  expect(facts.argv.join(" ")).toHaveLength(32_768);
  // The value of PAD is longer than the part that is read.
  expect(facts.environment).toEqual(new Map([["A", "1"]]));
});

test("a fact that is missing is unknown, and nothing is thrown", () => {
  using proc = procTree({ "4026/stat": FILES["4026/stat"] });
  const facts = new FactReader(proc.host).of(statOf(proc.host, 4026));
  expect(facts.names).toEqual({ comm: "ffmpeg", argv0: "", executable: "" });
  expect(facts).toMatchObject({ argv: [], ancestors: [], cgroups: [], ageMs: 0 });
  for (const fact of [
    "executable",
    "uid",
    "user",
    "gid",
    "group",
    "cwd",
    "container",
    "environment",
  ] as const)
    expect(facts[fact]).toBeUndefined();
});

test("the cgroups of a job are those that it came from", () => {
  using proc = procTree(FILES);
  const cgroups = ["/system.slice/a.service"];
  const job = { isGoverned: true, membership: new Map([["", cgroups[0] as string]]) };
  const facts = new FactReader(proc.host).of(statOf(proc.host, 4026), job);
  expect(facts).toMatchObject({ isGoverned: true, cgroups });
});

test("users come from the current file", () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-names-"));
  try {
    let now = 0;
    using proc = procTree(FILES);
    const host = { ...proc.host, now: () => now };
    const users = `${directory}/passwd`;
    const reader = new FactReader(host, { users });
    const userNow = (): string | undefined => reader.of(statOf(host, 4026)).user;
    expect(userNow()).toBeUndefined();
    writeFileSync(users, "a:x:1001:1::/:/bin/sh\n");
    expect(userNow()).toBeUndefined();
    now += 1000;
    expect(userNow()).toBe("a");
    writeFileSync(`${users}.new`, "bb:x:1001:1::/:/bin/sh\n");
    renameSync(`${users}.new`, users);
    now += 1000;
    expect(userNow()).toBe("bb");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a path resolves to the current targets of its links", () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-links-"));
  try {
    let now = 0;
    const reader = new FactReader({ ...realHost(), now: () => now });
    mkdirSync(`${directory}/a`);
    mkdirSync(`${directory}/b`);
    symlinkSync("a", `${directory}/current`);
    expect(reader.resolve(`${directory}/current`)).toEndWith("/a");
    rmSync(`${directory}/current`);
    symlinkSync("b", `${directory}/current`);
    now += 1000;
    expect(reader.resolve(`${directory}/current`)).toEndWith("/b");
    expect(reader.resolve(`${directory}/none`)).toBe(`${directory}/none`);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("this process has the facts that the runtime knows", () => {
  const host = realHost();
  const facts = new FactReader(host).of(statOf(host, process.pid));
  expect(facts.uid).toBe(process.geteuid?.() ?? -1);
  expect(facts.gid).toBe(process.getegid?.() ?? -1);
  expect(facts.cwd).toBe(process.cwd());
  expect(facts.executable).toBe(process.execPath);
  expect(facts.ancestors.length).toBeGreaterThan(0);
  expect(facts.environment?.get("PATH")).toBe(process.env["PATH"] as string);
});

test("a fact that is not used is not read", () => {
  using proc = procTree(FILES);
  const asked: string[] = [];
  const { host } = proc;
  const watched: Host = {
    ...host,
    get procRoot() {
      asked.push(new Error().stack?.match(/at (read\w+)/)?.[1] ?? "?");
      return host.procRoot;
    },
  };
  const reader = new FactReader(watched);
  const stat = statOf(host, 4026);
  asked.length = 0;
  const facts = reader.of(stat);
  expect([facts.pid, facts.ppid, facts.isGoverned]).toEqual([4026, 812, false]);
  expect(asked).toHaveLength(0);
  expect(facts.uid).toBe(1001);
  expect(facts.gid).toBe(1002);
  expect(asked).toHaveLength(1);
});
