import { afterEach, expect } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { atRoot } from "../support/vm/rootCgroup.ts";

const TOP = "/sys/fs/cgroup";
const sandbox = useSandbox();
const disks = () => readdirSync("/sys/block").filter((name) => /^vd[a-z]$/.test(name));
const schedulerOf = (disk: string) => `/sys/block/${disk}/queue/scheduler`;
const numbersOf = (disk: string) => readFileSync(`/sys/block/${disk}/dev`, "utf8").trim();

function writeQos(disk: string, enable: 0 | 1): void {
  writeFileSync(`${TOP}/io.cost.qos`, `${numbersOf(disk)} enable=${enable}`);
}

afterEach(() => {
  if (process.env["FFRTMP_VM"] === undefined) return;
  for (const disk of disks()) writeFileSync(schedulerOf(disk), "none");
  for (const disk of disks()) writeQos(disk, 0);
});

/** Starts a job with this weight, and returns its outcome and the directory of its cgroup. */
async function startWith(jobId: string, weight: number) {
  const words = ["run", "--job-id", jobId, "--io-weight", String(weight), "--", "sleep", "1000"];
  sandbox().spawn(atRoot(words), { stdout: "ignore", stderr: "ignore" });
  const pid = await sandbox().pidOf(jobId);
  sandbox().adopt(pid);
  const isRunning = async () => (await sandbox().json(["inspect", jobId])).state === "running";
  await until("the job runs", isRunning);
  const [outcome] = (await sandbox().json(["inspect", jobId])).limits;
  const membership = readFileSync(`/proc/${pid}/cgroup`, "utf8").trim();
  return { outcome, directory: `${TOP}${membership.slice("0::".length)}` };
}

const read = (directory: string, file: string) => readFileSync(`${directory}/${file}`, "utf8").trim();

vmTest("a weight of disks is unsupported where none divides by weights", async () => {
  const { outcome } = await startWith("none", 10);
  expect(outcome).toMatchObject({ limit: "io.weight", outcome: "unsupported" });
  expect(outcome.because).toContain("no disk of this machine has a scheduler with weights");
});

vmTest("a weight of disks is written for BFQ and for io.cost, by the disks that they divide", async () => {
  Bun.spawnSync(["modprobe", "bfq"]);
  const [first, second] = disks() as [string, string];
  writeFileSync(schedulerOf(first), "bfq");
  const bfq = await startWith("bfq", 1000);
  expect(bfq.outcome).toMatchObject({ outcome: "partial", because: `acts on ${first} (bfq) only` });
  expect(read(bfq.directory, "io.bfq.weight")).toBe("default 181");
  expect(read(bfq.directory, "io.weight")).toBe("default 100");
  writeQos(second, 1);
  const both = await startWith("both", 10);
  expect(both.outcome).toMatchObject({ outcome: "applied", actual: "10" });
  expect(read(both.directory, "io.bfq.weight")).toBe("default 10");
  expect(read(both.directory, "io.weight")).toBe("default 10");
});
