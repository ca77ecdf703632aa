import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Host, realHost } from "../../host.ts";
import { type Hierarchy, readHierarchies } from "../hierarchies.ts";
import { MoveLockThread } from "./thread.ts";
import { warmUpMoveLock } from "./warmUp.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-grace-"));
afterAll(() => rmSync(directory, { recursive: true }));

const V1: Hierarchy = {
  key: "cpu",
  version: 1,
  controllers: ["cpu"],
  mountPoint: `${directory}/cgroup`,
  mountRoot: "/",
};

function hostWith(membership: string): Host {
  mkdirSync(`${directory}/${process.pid}`, { recursive: true });
  writeFileSync(`${directory}/${process.pid}/cgroup`, membership);
  return { ...realHost(), procRoot: directory };
}

function written(membership: string, hierarchies: Hierarchy[]): string[] {
  const writes: string[] = [];
  const host = hostWith(membership);
  const cgroupFs = {
    ...host.cgroupFs,
    write: (path: string, data: string) => writes.push(`${data} ${path}`),
  };
  warmUpMoveLock({ ...host, cgroupFs: cgroupFs as unknown as Host["cgroupFs"] }, hierarchies);
  return writes;
}

test("the process is written by its number into the cgroup that it is in", () => {
  expect(written("4:cpu:/edge\n0::/\n", [V1])).toEqual([`${process.pid} ${directory}/cgroup/edge/tasks`]);
  const v2: Hierarchy = { ...V1, key: "", version: 2 };
  expect(written("0::/a.slice\n", [v2])).toEqual([`${process.pid} ${directory}/cgroup/a.slice/cgroup.procs`]);
});

test("nothing is written where its cgroup is not visible, or there are none", () => {
  expect(written("4:cpu:/../outside\n", [V1])).toEqual([]);
  expect(written("0::/\n", [V1])).toEqual([]);
  expect(written("0::/\n", [])).toEqual([]);
});

test("the thread waits when asked to", async () => {
  // A directory in place of the hierarchy shows that the thread has written.
  const own = /^\d+:([^:]*):(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"));
  const [, key = "", path = ""] = own ?? [];
  const mountPoint = `${directory}/played`;
  mkdirSync(`${mountPoint}${path}`, { recursive: true });
  writeFileSync(`${mountPoint}${path}/tasks`, "");
  const played = new MoveLockThread([{ ...V1, key, mountPoint }]);
  while (readFileSync(`${mountPoint}${path}/tasks`, "utf8") === "") {
    // The first request makes the thread only.
    played.requestWarmUp();
    await Bun.sleep(5);
  }
  expect(readFileSync(`${mountPoint}${path}/tasks`, "utf8")).toBe(String(process.pid));
  played.stop();
});

const v1 = readHierarchies(realHost()).filter(({ version }) => version === 1);
if (v1.length === 0) console.log("not tried: a wait on real cgroups: no v1 hierarchy is mounted");

test.skipIf(v1.length === 0)("the process stays in its cgroups", () => {
  const before = readFileSync("/proc/self/cgroup", "utf8");
  try {
    warmUpMoveLock(realHost(), v1.slice(0, 1));
  } catch {
    // Without root it may not be written; that changes nothing either.
  }
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe(before);
});
