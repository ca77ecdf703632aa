import { expect } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import {
  differencesFrom,
  directoryOfUnit,
  readText,
  settledSnapshot,
  systemctl,
  useUnits,
} from "../support/vm/units.ts";

const units = useUnits();
const sandbox = useSandbox();
const MIB = 1024 ** 2;

interface UpkeepEvent {
  kind: string;
  detail: { what?: string; wanted?: string; found?: string };
}

/** A job of watch, and its owner unit. */
interface Governed {
  jobId: string;
  unit: string;
  /** The cgroup directories of the unit and of the job, which are the same for a job in place. */
  owner: string;
  cgroup: string;
}

/** Starts a daemon and two services: one with only the workload, and one with other processes too. */
async function governTwo(flags: string[]): Promise<{
  inPlace: Governed;
  nested: Governed;
  before: Record<string, string>;
  stop(): Promise<void>;
}> {
  const { name, path } = sandbox().program("sleep");
  const alone = await units.start("ffrtmp-upkeep-alone", ["-p", "MemoryMax=200M"], `exec ${path} 1000`, name);
  const among = await units.start("ffrtmp-upkeep-among", [], `${path} 1001 & sleep 1000 & wait`, name);
  const before = await settledSnapshot();
  const daemon = sandbox().start(["watch", "--target", name, "--scan-interval", "500ms", ...flags], {
    stdout: "ignore",
    stderr: openSync(sandbox().path("log"), "a"),
  });
  const governed = async (unit: string, pid: number): Promise<Governed> => {
    const jobId = `auto-${name}-${pid}`;
    await until(`${jobId} is governed`, () => logLines().some((line) => line.endsWith(` as job ${jobId}`)));
    const { cgroups } = await sandbox().json(["inspect", jobId]);
    return { jobId, unit, owner: directoryOfUnit(unit) ?? "", cgroup: cgroups[0] };
  };
  const inPlace = await governed("ffrtmp-upkeep-alone.service", alone);
  const nested = await governed("ffrtmp-upkeep-among.service", among);
  expect(inPlace.cgroup).toBe(inPlace.owner);
  expect(nested.cgroup).toStartWith(`${nested.owner}/ffrtmp-`);
  const stop = async (): Promise<void> => {
    daemon.kill("SIGTERM");
    await daemon.exited;
  };
  return { inPlace, nested, before, stop };
}

function logLines(): string[] {
  return readFileSync(sandbox().path("log"), "utf8").split("\n");
}

/** Lists the log lines about one limit of a job. Reading the record would be much slower. */
function logLinesAbout({ jobId }: Governed, what: string): string[] {
  return logLines().filter((line) => line.includes(`Job ${jobId}: ${what} was changed from outside `));
}

async function upkeepOf({ jobId }: Governed, what: string): Promise<UpkeepEvent[]> {
  const { events } = await sandbox().json(["inspect", jobId]);
  return (events as UpkeepEvent[]).filter(({ detail }) => detail.what === what);
}

async function outcomeOf({ jobId }: Governed, limit: string): Promise<Record<string, string>> {
  const { limits } = await sandbox().json(["inspect", jobId]);
  return (limits as Record<string, string>[]).find((each) => each["limit"] === limit) ?? {};
}

function readLimit({ cgroup }: Governed, file: string): string {
  return readText(`${cgroup}/${file}`).trim();
}

vmTest(
  "limits that daemon-reload undoes are restored and recorded, a value three times, a controller every time",
  async () => {
    // A weight above the owner's own is not written, so it is never undone.
    const flags = ["--cpu-quota", "30", "--memory-max", "100M", "--pids-max", "40", "--cpu-weight", "500"];
    const { inPlace, nested, before, stop } = await governTwo(flags);
    const ours = String(100 * MIB);
    const theirs = String(200 * MIB);
    for (let reload = 1; reload <= 5; reload++) {
      systemctl("daemon-reload");
      // systemd writes the unit's own value over the first job's, and disables the controller of the second
      // job.
      const noticed = Math.min(reload, 4);
      await until(
        `reload ${reload} is detected`,
        () => logLinesAbout(inPlace, "memory.max").length >= noticed,
      );
      expect(readLimit(inPlace, "memory.max")).toBe(reload <= 3 ? ours : theirs);
      await until(`reload ${reload} is detected`, () => logLinesAbout(nested, "cpu.max").length >= reload);
      await until("the nested quota is restored", () => readLimit(nested, "cpu.max") === "30000 100000");
    }
    expect(await upkeepOf(inPlace, "memory.max")).toMatchObject([
      ...Array(3).fill({ kind: "reapplied", detail: { wanted: ours, found: theirs } }),
      { kind: "left_alone", detail: { wanted: ours, found: theirs } },
    ]);
    expect(await outcomeOf(inPlace, "memory.max")).toMatchObject({
      outcome: "refused",
      because: `it was set to ${theirs} from outside; it was applied again 3 times within an hour and is left alone for an hour now`,
    });
    expect(readLimit(inPlace, "memory.max")).toBe(theirs);
    // While systemd writes the same files, the kernel can refuse one try.
    const given = (await upkeepOf(nested, "cpu.max")).filter(({ kind }) => kind !== "repair_refused");
    expect(given.length).toBeGreaterThanOrEqual(5);
    for (const event of given)
      expect(event).toMatchObject({ kind: "given_again", detail: { wanted: "30000 100000", found: "max" } });
    expect(await outcomeOf(nested, "cpu.max")).toMatchObject({ outcome: "applied" });
    expect(await upkeepOf(inPlace, "cpu.weight")).toEqual([]);
    expect(await outcomeOf(inPlace, "cpu.weight")).toMatchObject({ outcome: "applied", actual: "100" });

    await stop();
    for (const { jobId } of [inPlace, nested]) expect((await sandbox().run(["detach", jobId])).code).toBe(0);
    expect(await differencesFrom(before, [])).toEqual({});
  },
);

vmTest("a limit that an operator sets meanwhile is never loosened, and stays after detach", async () => {
  const { inPlace, nested, stop } = await governTwo(["--cpu-quota", "30", "--memory-max", "100M"]);
  const set = (...properties: string[]): void => {
    for (const { unit } of [inPlace, nested]) systemctl("set-property", "--runtime", unit, ...properties);
  };
  // The operator's limits are looser than the job's, which are restored.
  set("CPUQuota=60%", "MemoryMax=150M", "CPUWeight=50");
  await until("the quota is restored", () => logLinesAbout(inPlace, "cpu.max").length > 0);
  await until("the memory limit is restored", () => readLimit(inPlace, "memory.max") === String(100 * MIB));
  expect(readLimit(inPlace, "cpu.max")).toBe("30000 100000");
  await until("the nested quota is restored", () => readLimit(nested, "cpu.max") === "30000 100000");
  expect(readFileSync(`${nested.owner}/cpu.max`, "utf8")).toBe("60000 100000\n");

  // The operator's limits are tighter than the job's, so nothing has to be restored.
  const noticed = logLinesAbout(inPlace, "cpu.max").length;
  set("CPUQuota=10%", "MemoryMax=80M");
  await until("systemd has written it", () => readLimit(inPlace, "cpu.max") === "10000 100000");
  // A later change is detected, so the daemon has checked the operator's change too.
  const before = logLinesAbout(nested, "membership").length;
  const [pid] = readLimit(nested, "cgroup.threads").split("\n");
  writeFileSync(`${nested.owner}/cgroup.procs`, String(pid));
  await until("a later change is detected", () => logLinesAbout(nested, "membership").length > before);
  expect(readLimit(inPlace, "cpu.max")).toBe("10000 100000");
  expect(readLimit(inPlace, "memory.max")).toBe(String(80 * MIB));
  expect(readFileSync(`${nested.owner}/cpu.max`, "utf8")).toBe("10000 100000\n");
  expect(logLinesAbout(inPlace, "cpu.max").length).toBe(noticed);

  await stop();
  for (const { jobId } of [inPlace, nested]) expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  for (const { owner } of [inPlace, nested]) {
    expect(readText(`${owner}/cpu.max`)).toBe("10000 100000\n");
    expect(readText(`${owner}/memory.max`)).toBe(`${80 * MIB}\n`);
    expect(readText(`${owner}/cpu.weight`)).toBe("50\n");
    expect(readText(`${owner}/cgroup.subtree_control`).trim()).toBe("");
  }
});

vmTest(
  "limits that the restart of another unit in the slice undoes are restored by the next check",
  async () => {
    const { inPlace, nested, before, stop } = await governTwo(["--cpu-quota", "30", "--pids-max", "40"]);
    const neighbour = "ffrtmp-upkeep-neighbour.service";
    await units.start("ffrtmp-upkeep-neighbour", [], "exec sleep 1000", "sleep");
    systemctl("restart", "cron.service");
    units.stop(neighbour);
    for (const job of [inPlace, nested]) {
      await until("the quota is restored", () => readLimit(job, "cpu.max") === "30000 100000");
      expect(readLimit(job, "pids.max")).toBe("40");
      expect(await outcomeOf(job, "cpu.max")).toMatchObject({ outcome: "applied" });
    }
    await stop();
    for (const { jobId } of [inPlace, nested]) expect((await sandbox().run(["detach", jobId])).code).toBe(0);
    expect(await differencesFrom(before, [])).toEqual({});
  },
);
