import { expect } from "bun:test";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import {
  differencesFrom,
  directoryOfUnit,
  readText,
  snapshot,
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

/** A job that watch began, and the unit that it belongs to. */
interface Governed {
  jobId: string;
  unit: string;
  /** Of the unit, and of the job: one and the same in place. */
  owner: string;
  cgroup: string;
}

/** Two services under one daemon: one that is the workload alone, and one in which it is among others. */
async function governTwo(flags: string[]): Promise<{
  inPlace: Governed;
  nested: Governed;
  before: Record<string, string>;
  stop(): Promise<void>;
}> {
  const { name, path } = sandbox().program("sleep");
  const alone = await units.start("ffrtmp-upkeep-alone", ["-p", "MemoryMax=200M"], `exec ${path} 1000`, name);
  const among = await units.start("ffrtmp-upkeep-among", [], `${path} 1001 & sleep 1000 & wait`, name);
  const before = snapshot([]);
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

/** What the daemon's log tells of one limit of a job; much cheaper to ask for than the record. */
function toldOf({ jobId }: Governed, what: string): string[] {
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

function held({ cgroup }: Governed, file: string): string {
  return readText(`${cgroup}/${file}`).trim();
}

vmTest(
  "what daemon-reload undoes is put back and recorded, a value three times, a controller as often as it is taken",
  async () => {
    // A weight above the owner's own is not written, and so is never undone.
    const flags = ["--cpu-quota", "30", "--memory-max", "100M", "--pids-max", "40", "--cpu-weight", "500"];
    const { inPlace, nested, before, stop } = await governTwo(flags);
    const ours = String(100 * MIB);
    const theirs = String(200 * MIB);
    for (let reload = 1; reload <= 5; reload++) {
      systemctl("daemon-reload");
      // systemd writes what the unit holds over the one, and takes the controller away from the other.
      const noticed = Math.min(reload, 4);
      await until(`reload ${reload} is noticed`, () => toldOf(inPlace, "memory.max").length >= noticed);
      expect(held(inPlace, "memory.max")).toBe(reload <= 3 ? ours : theirs);
      await until(`reload ${reload} is noticed`, () => toldOf(nested, "cpu.max").length >= reload);
      await until("the nested quota holds", () => held(nested, "cpu.max") === "30000 100000");
    }
    expect(await upkeepOf(inPlace, "memory.max")).toMatchObject([
      ...Array(3).fill({ kind: "reapplied", detail: { wanted: ours, found: theirs } }),
      { kind: "left_alone", detail: { wanted: ours, found: theirs } },
    ]);
    expect(await outcomeOf(inPlace, "memory.max")).toMatchObject({
      outcome: "refused",
      because: `somebody else set it to ${theirs}; it was put back 3 times within an hour and is left alone for one now`,
    });
    expect(held(inPlace, "memory.max")).toBe(theirs);
    const given = await upkeepOf(nested, "cpu.max");
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

vmTest("what an operator sets meanwhile is never loosened, and is what holds after detach", async () => {
  const { inPlace, nested, stop } = await governTwo(["--cpu-quota", "30", "--memory-max", "100M"]);
  const set = (...properties: string[]): void => {
    for (const { unit } of [inPlace, nested]) systemctl("set-property", "--runtime", unit, ...properties);
  };
  // Looser than ours: ours go on, below his.
  set("CPUQuota=60%", "MemoryMax=150M", "CPUWeight=50");
  await until("the quota is back", () => toldOf(inPlace, "cpu.max").length > 0);
  await until("both limits hold", () => held(inPlace, "memory.max") === String(100 * MIB));
  expect(held(inPlace, "cpu.max")).toBe("30000 100000");
  await until("the nested quota holds", () => held(nested, "cpu.max") === "30000 100000");
  expect(readFileSync(`${nested.owner}/cpu.max`, "utf8")).toBe("60000 100000\n");

  // Tighter than ours: his hold, and nobody undid anything.
  const noticed = toldOf(inPlace, "cpu.max").length;
  set("CPUQuota=10%", "MemoryMax=80M");
  await until("systemd has written it", () => held(inPlace, "cpu.max") === "10000 100000");
  // What comes after it is noticed, so it was looked at.
  const looked = toldOf(nested, "membership").length;
  const [pid] = held(nested, "cgroup.threads").split("\n");
  writeFileSync(`${nested.owner}/cgroup.procs`, String(pid));
  await until("a later look", () => toldOf(nested, "membership").length > looked);
  expect(held(inPlace, "cpu.max")).toBe("10000 100000");
  expect(held(inPlace, "memory.max")).toBe(String(80 * MIB));
  expect(readFileSync(`${nested.owner}/cpu.max`, "utf8")).toBe("10000 100000\n");
  expect(toldOf(inPlace, "cpu.max").length).toBe(noticed);

  await stop();
  for (const { jobId } of [inPlace, nested]) expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  for (const { owner } of [inPlace, nested]) {
    expect(readText(`${owner}/cpu.max`)).toBe("10000 100000\n");
    expect(readText(`${owner}/memory.max`)).toBe(`${80 * MIB}\n`);
    expect(readText(`${owner}/cpu.weight`)).toBe("50\n");
    expect(readText(`${owner}/cgroup.subtree_control`).trim()).toBe("");
  }
});

vmTest("a restart of a neighbour in the same slice takes no limit away for longer than a look", async () => {
  const { inPlace, nested, before, stop } = await governTwo(["--cpu-quota", "30", "--pids-max", "40"]);
  const neighbour = "ffrtmp-upkeep-neighbour.service";
  await units.start("ffrtmp-upkeep-neighbour", [], "exec sleep 1000", "sleep");
  systemctl("restart", "cron.service");
  units.stop(neighbour);
  for (const job of [inPlace, nested]) {
    await until("the quota holds", () => held(job, "cpu.max") === "30000 100000");
    expect(held(job, "pids.max")).toBe("40");
    expect(await outcomeOf(job, "cpu.max")).toMatchObject({ outcome: "applied" });
  }
  await stop();
  for (const { jobId } of [inPlace, nested]) expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  expect(await differencesFrom(before, [])).toEqual({});
});
