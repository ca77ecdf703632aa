import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { removeOwner } from "../support/foreignCgroup.ts";
import { PolicyBox, readLimitFile } from "../support/policyBox.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const cpu = readHierarchies(realHost()).find(
  ({ version, controllers }) => version === 1 && controllers.includes("cpu"),
);
const v1Test = testIf(lacksLimits() ?? (cpu ? undefined : "the cpu controller is not on cgroup v1"));

const BUSY = "while :; do :; done";
const NONE = "-1 100000";

const quotaOf = (pid: number): string =>
  ["quota", "period"].map((word) => readLimitFile(pid, "cpu", `cpu.cfs_${word}_us`)).join(" ");

/** A live job, and a batch job in a cgroup that holds another process too. */
class MixedBox {
  readonly box = new PolicyBox(sandbox());
  readonly #owner = `${cpu?.mountPoint}/lab-${sandbox().tag}`;
  readonly #shells = [this.box.shell("live"), this.box.shell("batch")] as const;

  async open(governor: string): Promise<{ batchPid: number; daemon: Bun.Subprocess }> {
    mkdirSync(this.#owner);
    this.write(governor);
    const [live, batch] = this.#shells;
    const livePid = await this.box.run(live);
    const batchPid = await this.box.run(batch, {}, BUSY);
    for (const pid of [batchPid, sandbox().spawn(["sleep", "600"]).pid])
      writeFileSync(`${this.#owner}/tasks`, `${pid}`);
    const daemon = await this.box.start();
    for (const pid of [livePid, batchPid]) await this.box.governed(pid);
    return { batchPid, daemon };
  }

  write(governor: string): void {
    const [live, batch] = this.#shells;
    this.box.write(`
scan_interval: 1s
target_commands: [${basename(batch)}]
intents: {${governor}}
rules:
  - {name: live, match: {command: ${basename(live)}}, intent: live}
  - {name: batch, match: {command: ${basename(batch)}}, intent: batch}
`);
  }

  async governors(pid: number) {
    const { limits } = await this.box.jobOf(pid);
    return limits.filter(({ of }: { of?: string }) => of === "governor");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeOwner(this.#owner);
  }
}

v1Test("a quota of the governor stays after SIGKILL, and a daemon without a governor lifts it", async () => {
  await using mixed = new MixedBox();
  const { box } = mixed;
  const { batchPid, daemon } = await mixed.open("governor: on");
  // Others that take all CPUs leave nothing but the floor.
  const others = [1, 2, 3, 4].map(() => sandbox().spawn(["sh", "-c", BUSY]));
  await until("batch has its floor", () => quotaOf(batchPid) === "1000 20000");
  await until("it is reported", () => /Governor: \d+\.\d cores left of \d+ for batch: /.test(box.log()));
  // It is read back after the write.
  await until("it is recorded", async () => (await mixed.governors(batchPid))[0]?.outcome === "applied");
  expect(await mixed.governors(batchPid)).toMatchObject([
    {
      limit: "cpu.max",
      actual: "1000 20000",
      because: expect.stringMatching(/^governed: \d\.\d cores left of \d+$/),
    },
  ]);

  daemon.kill("SIGKILL");
  await daemon.exited;
  for (const each of others) each.kill("SIGKILL");
  expect(quotaOf(batchPid)).toBe("1000 20000");
  mixed.write("");
  await box.start();
  await until("the quota is lifted", () => quotaOf(batchPid) === NONE);
  expect(await mixed.governors(batchPid)).toEqual([]);
  expect(box.log()).toContain("the governor's CPU quota is lifted: the policy has no governor that is on");
});

v1Test("a reload switches the governor, a dry run writes nothing, and detach removes the quota", async () => {
  await using mixed = new MixedBox();
  const { box } = mixed;
  const { batchPid } = await mixed.open("governor: dry-run");
  await until("the dry run reports", () => box.log().includes("Governor (dry run, nothing is written): "));
  expect(quotaOf(batchPid)).toBe(NONE);
  expect(await mixed.governors(batchPid)).toEqual([]);

  const isGoverned = () => quotaOf(batchPid).endsWith(" 20000");
  mixed.write("governor: on, headroom: 1 core");
  await until("batch has a quota", isGoverned);
  mixed.write("");
  await until("batch has none", () => quotaOf(batchPid) === NONE);
  mixed.write("governor: on");
  await until("batch has a quota again", isGoverned);
  const { job_id: jobId } = await box.jobOf(batchPid);
  expect((await sandbox().run(["detach", jobId])).code).toBe(0);
  expect(quotaOf(batchPid)).toBe(NONE);
});
