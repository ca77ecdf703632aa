import { afterEach } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { governProcess } from "../../src/jobs/attach/attach.ts";
import type { Context } from "../../src/jobs/context.ts";
import type { JobSpec } from "../../src/jobs/job.ts";
import type { RunningJob } from "../../src/jobs/model/job.ts";
import { Ledger } from "../../src/ledger/ledger.ts";
import { locateState } from "../../src/ledger/location.ts";
import type { Limits } from "../../src/limits/limits.ts";
import { readMembership } from "../../src/linux/cgroup/hierarchies.ts";
import type { Host } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import type { Bus } from "../../src/linux/systemdBus.ts";
import { readBootMs } from "../../src/sys/clock.ts";
import { makeUsable } from "./cgroupMachines.ts";
import { type FakeCgroups, fakeHybrid, fakeV2 } from "./fakeCgroups.ts";
import { procTree, statLine } from "./procTree.ts";

const BOOT_ID = "5c1f5a3e-0000-4000-8000-000000000000";
const ROOT = "/sys/fs/cgroup";

/** A unit of a fake cgroup v2 machine, and a context that sees only this machine. */
export interface FakeOwner {
  fake: FakeCgroups;
  context: Context;
  /** The directory of the unit's cgroup. */
  owner: string;
  /** Starts a process in the unit's cgroup, or in this one of every hierarchy, as a child of `ppid`. */
  start(pid: number, ppid: number, cgroupPath?: string): void;
  /** Ends a process. */
  end(pid: number): void;
  /** Gives the pid to another process. */
  reuse(pid: number): void;
  govern(
    pid: number,
    limits: Limits,
    different?: Partial<JobSpec>,
    mode?: Parameters<typeof governProcess>[2],
  ): RunningJob;
}

/** Returns fake processes and cgroups with a real ledger, for placements that no machine here has. */
export function useGovernedFakes(): {
  openOwner(unit?: string, bus?: Bus): FakeOwner;
  /** The unit of a hybrid machine: `owner` is its cgroup in the v2 hierarchy. `together`: see `fakeV1`. */
  openHybridOwner(together?: string[]): FakeOwner;
} {
  const clean: (() => void)[] = [];
  afterEach(() => {
    while (clean.length > 0) clean.pop()?.();
  });

  function openOwner(unit = "encoder.service", bus?: Bus): FakeOwner {
    const fake = fakeV2();
    return openOwnerOf(fake, makeUnit(fake, unit), ROOT, bus);
  }

  function openHybridOwner(together: string[] = []): FakeOwner {
    const fake = fakeHybrid(together);
    for (const hierarchy of fake.hierarchies) {
      makeUsable(fake.fs, hierarchy, `${hierarchy.mountPoint}/system.slice`);
      makeUsable(fake.fs, hierarchy, `${hierarchy.mountPoint}/system.slice/encoder.service`);
    }
    const mount = `${ROOT}/unified`;
    return openOwnerOf(fake, `${mount}/system.slice/encoder.service`, mount);
  }

  function openOwnerOf(fake: FakeCgroups, owner: string, mount: string, bus?: Bus): FakeOwner {
    const proc = procTree({ "sys/kernel/random/boot_id": `${BOOT_ID}\n` });
    clean.push(() => proc[Symbol.dispose]());
    const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
    clean.push(() => rmSync(directory, { recursive: true }));
    const stats = new Map<number, { ppid: number; startTicks: number }>();
    const { host, sync } = hostOf(proc.host.procRoot, fake, stats);
    const state = locateState(directory, {});
    const context: Context = {
      host: bus === undefined ? host : { ...host, bus },
      hierarchies: fake.hierarchies,
      ledger: new Ledger(state.ledger, console.log),
      state,
      bootId: BOOT_ID,
      self: { bootId: BOOT_ID, pid: 2, startTicks: 1 },
      warn: console.log,
    };
    return {
      fake,
      context,
      owner,
      start(pid, ppid, cgroupPath = owner.slice(mount.length)) {
        fake.addProcess(pid, cgroupPath);
        stats.set(pid, { ppid, startTicks: 100 });
        sync();
      },
      end(pid) {
        fake.exit(pid);
        stats.delete(pid);
        rmSync(`${proc.host.procRoot}/${pid}`, { recursive: true });
        sync();
      },
      reuse(pid) {
        stats.set(pid, { ppid: 1, startTicks: 999 });
        sync();
      },
      govern(pid, limits, different = {}, mode = "attach") {
        const usual = { jobId: "kept", intent: null, slaEligible: true, tenant: null, labels: {} };
        const [stat, membership] = [readStat(host, pid), readMembership(host, pid)];
        if (stat === "gone" || membership === "gone") throw new Error(`${pid} was not started`);
        return governProcess(context, { stat, membership }, mode, { ...usual, limits, ...different });
      },
    };
  }

  return { openOwner, openHybridOwner };
}

/** Makes a unit as systemd does: the slice enables controllers for its units, the unit enables none. */
function makeUnit({ fs }: FakeCgroups, unit: string): string {
  const slice = `${ROOT}/system.slice`;
  const owner = `${slice}/${unit}`;
  fs.write(`${ROOT}/cgroup.subtree_control`, "+cpuset +cpu +io +memory +pids");
  fs.mkdir(slice);
  fs.write(`${slice}/cgroup.subtree_control`, "+cpuset +cpu +io +memory +pids");
  fs.mkdir(owner);
  return owner;
}

/** Makes a host whose /proc shows the cgroups after every write. */
function hostOf(
  procRoot: string,
  fake: FakeCgroups,
  stats: ReadonlyMap<number, { ppid: number; startTicks: number }>,
): { host: Host; sync(): void } {
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(`${procRoot}/${path}`), { recursive: true });
    writeFileSync(`${procRoot}/${path}`, text);
  };
  const sync = (): void => {
    for (const [pid, stat] of stats) {
      const children = [...stats].filter(([, { ppid }]) => ppid === pid).map(([child]) => child);
      put(`${pid}/stat`, statLine({ pid, ...stat }));
      put(`${pid}/status`, `Tgid:\t${pid}\nVmRSS:\t1000 kB\n`);
      put(`${pid}/cmdline`, "ffmpeg\0-i\0in.mp4\0");
      put(`${pid}/cgroup`, fake.cgroupText(pid));
      put(`${pid}/task/${pid}/cgroup`, fake.cgroupText(pid));
      put(`${pid}/task/${pid}/children`, children.join(" "));
    }
  };
  const write: Host["cgroupFs"]["write"] = (path, data) => {
    fake.fs.write(path, data);
    sync();
  };
  return { host: { procRoot, cgroupFs: { ...fake.fs, write }, now: Date.now, bootNow: readBootMs }, sync };
}
