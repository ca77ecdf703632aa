import { expect, test } from "bun:test";
import { directoryOf } from "../../src/linux/cgroup/hierarchies.ts";
import { realCgroupFs } from "../../src/linux/cgroupFs.ts";
import { type Facts, type Trial, tryFacts, V1_FACTS, V2_FACTS } from "./cgroupFacts.ts";
import { fakeV1, fakeV2 } from "./fakeCgroups.ts";
import { countCpus, findDisk, findRealCgroups, type RealCgroups, writeToKernel } from "./realCgroups.ts";

/** Runs the acts on this machine, each series in a new cgroup. */
function tryOnKernel(real: RealCgroups, facts: Facts, disk: string): string[] {
  const sleeper = Bun.spawn(["sleep", "600"], { stdio: ["ignore", "ignore", "ignore"] });
  const made: string[] = [];
  const homes = real.hierarchies.map((hierarchy) => ({
    hierarchy,
    home: directoryOf(hierarchy, real.membership.get(hierarchy.key) as string) as string,
  }));
  const enabled = real.version === 2 ? enableAll(homes[0]?.home as string) : [];
  const goHome = (): void => {
    for (const { home } of homes) realCgroupFs.write(`${home}/cgroup.procs`, String(sleeper.pid));
  };
  const trial: Trial = {
    // The fake is to answer as the kernel does, not as the list of files that ffrtmp writes.
    fs: { ...realCgroupFs, write: writeToKernel },
    disk,
    pid: sleeper.pid,
    directory(controller) {
      goHome();
      const at = homes.find(
        ({ hierarchy }) => hierarchy.version === 2 || hierarchy.controllers.includes(controller),
      );
      const directory = `${at?.home}/ffrtmp-test-facts-${made.length}-${process.pid}`;
      realCgroupFs.mkdir(directory);
      made.push(directory);
      return directory;
    },
  };
  try {
    return tryFacts(facts, trial);
  } finally {
    goHome();
    sleeper.kill("SIGKILL");
    for (const directory of made.reverse()) realCgroupFs.rmdir(directory);
    for (const name of enabled) realCgroupFs.write(`${homes[0]?.home}/cgroup.subtree_control`, `-${name}`);
  }
}

/** Enables all controllers for the children of a v2 cgroup. Returns those that were not enabled before. */
function enableAll(directory: string): string[] {
  const words = (file: string): string[] =>
    realCgroupFs.read(`${directory}/${file}`).split(/\s+/).filter(Boolean);
  const missing = words("cgroup.controllers").filter(
    (name) => !words("cgroup.subtree_control").includes(name),
  );
  for (const name of missing) realCgroupFs.write(`${directory}/cgroup.subtree_control`, `+${name}`);
  return missing;
}

function tryOnFake(version: 1 | 2, facts: Facts, disk: string): string[] {
  const hardware = { cpus: countCpus(), disks: [disk] };
  const fake = version === 1 ? fakeV1(hardware) : fakeV2(hardware);
  fake.addProcess(77777);
  let series = 0;
  return tryFacts(facts, {
    fs: fake.fs,
    disk,
    pid: 77777,
    directory(controller) {
      const hierarchy = fake.hierarchies.find(
        (each) => each.version === 2 || each.controllers.includes(controller),
      );
      const { mountPoint } = hierarchy as { mountPoint: string };
      fake.fs.write(`${mountPoint}/cgroup.procs`, "77777");
      if (version === 2)
        fake.fs.write(`${mountPoint}/cgroup.subtree_control`, "+cpu +memory +io +pids +cpuset");
      fake.fs.mkdir(`${mountPoint}/${series}`);
      return `${mountPoint}/${series++}`;
    },
  });
}

for (const version of [1, 2] as const) {
  const real = findRealCgroups(version);
  const disk = findDisk();
  const missing = typeof real === "string" ? real : disk === undefined ? "there is no disk" : undefined;
  if (missing !== undefined)
    console.log(`not tried: comparing the fake cgroup v${version} machine with the kernel: ${missing}`);

  test.skipIf(missing !== undefined)(
    `the fake cgroup v${version} machine answers every write as the kernel does`,
    () => {
      const facts = version === 1 ? V1_FACTS : V2_FACTS;
      const fromKernel = tryOnKernel(real as RealCgroups, facts, disk as string);
      expect(tryOnFake(version, facts, disk as string)).toEqual(fromKernel);
    },
  );
}
