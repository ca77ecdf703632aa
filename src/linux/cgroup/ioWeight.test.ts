import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { fromBfqWeight, toBfqWeight } from "../../limits/compare.ts";
import { LIMITS } from "../../limits/table.ts";
import { realCgroupFs } from "../cgroupFs.ts";
import { type DiskWeights, readDiskWeights } from "../diskWeight.ts";
import { controllersOf } from "./backends.ts";
import type { CgroupDirectory } from "./file.ts";
import { ioWeightFiles, restoredDiskWeight } from "./ioWeight.ts";
import { asDirectory, type JobCgroup } from "./jobCgroup.ts";
import { liftCgroupLimits } from "./jobLimits.ts";
import { recordOwnersValues, recordWritten, restoreFile } from "./ownerFiles.ts";

const V2 = { key: "", version: 2 as const, controllers: ["io"], mountPoint: "/cg", mountRoot: "/" };
const V1 = { key: "blkio", version: 1 as const, controllers: ["blkio"], mountPoint: "/cg", mountRoot: "/" };
const BFQ: DiskWeights = { acting: [{ disk: "sdb", by: "bfq" }], without: [] };
const BOTH: DiskWeights = {
  acting: [
    { disk: "sdb", by: "bfq" },
    { disk: "vda", by: "io.cost" },
  ],
  without: [{ disk: "nvme0n1", scheduler: "none" }],
};
const NONE: DiskWeights = { acting: [], without: [{ disk: "vda", scheduler: "none" }] };

/** A cgroup of these files, in which a write of a weight replaces the default and keeps the lines of disks. */
function cgroupOf(version: 1 | 2, files: Record<string, string>) {
  const values = new Map(Object.entries(files).map(([file, text]) => [`/cg/job/${file}`, text]));
  const fs = {
    ...realCgroupFs,
    read(path: string): string {
      const text = values.get(path);
      if (text === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
      return `${text}\n`;
    },
    write(path: string, data: string): void {
      const [, ...lines] = fs.read(path).trim().split("\n");
      values.set(path, [data, ...lines].join("\n"));
    },
  };
  const directory: CgroupDirectory = { fs, hierarchy: version === 1 ? V1 : V2, path: "/cg/job" };
  const set = (weight: number, weights: DiskWeights) => {
    const limit = ioWeightFiles(version, () => weights);
    const plan = limit.plan(directory, weight, String(weight));
    if ("outcome" in plan) return plan;
    for (const { file, data } of plan.writes) fs.write(`/cg/job/${file}`, data);
    return plan.verify(directory);
  };
  return { directory, set, text: (file: string) => values.get(`/cg/job/${file}`) };
}

const UNTOUCHED = { "io.weight": "default 100", "io.bfq.weight": "default 100" };

test("a weight is written for what divides a disk, and is partial where another disk divides nothing", () => {
  const { set, text, directory } = cgroupOf(2, UNTOUCHED);
  expect(set(1000, BOTH)).toEqual({
    ...{ limit: "io.weight", outcome: "partial", wanted: "1000", actual: "1000" },
    because: "acts on sdb (bfq), vda (io.cost) only",
  });
  expect([text("io.weight"), text("io.bfq.weight")]).toEqual(["default 1000", "default 181"]);
  expect(ioWeightFiles(2, () => BOTH).read(directory)).toBe(1000);
});

test("with BFQ alone its file is written alone, and read back as the weight that was asked for", () => {
  const { set, text, directory } = cgroupOf(2, { ...UNTOUCHED, "io.bfq.weight": "default 100\n8:0 20" });
  expect(set(10, BFQ)).toMatchObject({ outcome: "applied", actual: "10" });
  expect([text("io.weight"), text("io.bfq.weight")]).toEqual(["default 100", "default 10\n8:0 20"]);
  expect(ioWeightFiles(2, () => BFQ).read(directory)).toBe(10);
  const v1 = cgroupOf(1, { "blkio.bfq.weight": "100" });
  expect(v1.set(10_000, BFQ)).toMatchObject({ outcome: "applied" });
  expect(v1.text("blkio.bfq.weight")).toBe("1000");
});

test("without a disk that has weights nothing is written, and the outcome says how one would have", () => {
  const { set, text } = cgroupOf(2, UNTOUCHED);
  expect(set(10, NONE)).toEqual({
    ...{ limit: "io.weight", outcome: "unsupported", wanted: "10" },
    because:
      "no disk of this machine has a scheduler with weights (vda: none); echo bfq >/sys/block/vda/queue/scheduler makes it act there",
  });
  expect(text("io.weight")).toBe("default 100");
});

test("in place, a weight below the wanted one is the owner's and stays", () => {
  const { directory, text } = cgroupOf(2, { "io.weight": "default 50", "io.bfq.weight": "default 50" });
  const owned = { ...directory, replaced: [] };
  const plan = ioWeightFiles(2, () => BOTH).plan(owned, 1000, "1000");
  expect(plan).toMatchObject({ outcome: "applied", actual: "50", heldBy: "/cg/job" });
  expect(text("io.weight")).toBe("default 50");
});

test.each([
  ["of the two that the owner has, none grows", BOTH, 300, 20, ["default 200", "default 20"]],
  ["the one that divides no disk does not count", BFQ, 50, 300, ["default 50", "default 109"]],
])("in place, %s", (_, weights, cost, bfq, expected) => {
  const { directory } = cgroupOf(2, { "io.weight": `default ${cost}`, "io.bfq.weight": `default ${bfq}` });
  const { fs, path } = directory;
  const plan = ioWeightFiles(2, () => weights).plan({ ...directory, replaced: [] }, 200, "200");
  if ("outcome" in plan) throw new Error(`nothing is planned: ${plan.because}`);
  for (const { file, data } of plan.writes) fs.write(`${path}/${file}`, data);
  expect(["io.weight", "io.bfq.weight"].map((file) => fs.read(`${path}/${file}`).trim())).toEqual(expected);
  const { outcome, because = "" } = plan.verify(directory);
  expect([outcome, because.includes("its owner has 20 in io.bfq.weight")]).toEqual(
    weights === BOTH ? ["partial", true] : ["applied", false],
  );
});

test("what processes have is the greater of the weights that act", () => {
  const { directory } = cgroupOf(2, { "io.weight": "default 10", "io.bfq.weight": "default 100" });
  const readOn = (weights: DiskWeights) => ioWeightFiles(2, () => weights).read(directory);
  const cost: DiskWeights = { ...BFQ, acting: [{ disk: "vda", by: "io.cost" }] };
  expect([BOTH, BFQ, cost, NONE].map(readOn)).toEqual([100, 100, 10, undefined]);
});

test("the weight of a scope that carries a weight of the CPU is not its owner's", () => {
  const { directory } = cgroupOf(2, { ...UNTOUCHED, "cpu.weight": "50", "cpu.idle": "0" });
  const { fs, path } = directory;
  const scope = {
    hierarchy: V2,
    path,
    origin: path,
    placedAs: "child" as const,
    carrier: path,
    controllers: [],
  };
  const created = { kind: "cgroup-created" as const, hierarchy: "", path, role: "job" as const };
  const job: JobCgroup = {
    ...{ fs, unavailable: [], directories: [scope] },
    changes: [{ ...created, carried: { "cpu.weight": "50" } }],
  };
  expect(ioWeightFiles(2, () => BOTH).plan(asDirectory(job, scope), 500, "500")).toMatchObject({
    writes: [{ data: "default 500" }, { data: "default 136" }],
  });
});

test("the weight of a cgroup is restored without the lines of its disks, which stay", () => {
  expect(restoredDiskWeight("default 300\n8:0 50")).toBe("default 300");
  expect(restoredDiskWeight("100")).toBe("100");
});

test("in place, both files of the owner are recorded, and restored as they were", () => {
  const { directory, set, text } = cgroupOf(2, {
    "io.weight": "default 300\n8:0 50",
    "io.bfq.weight": "default 118",
  });
  const { fs, path } = directory;
  const controllers = controllersOf(V2);
  const job: JobCgroup = {
    ...{ fs, changes: [], unavailable: [] },
    directories: [{ hierarchy: V2, path, origin: path, placedAs: "in-place", controllers }],
  };
  const govern = (): void => {
    recordOwnersValues(job, { ioWeight: 10 });
    set(10, BOTH);
    recordWritten(job, { ioWeight: 10 });
    expect([text("io.weight"), text("io.bfq.weight")]).toEqual(["default 10\n8:0 50", "default 10"]);
  };
  govern();
  expect(liftCgroupLimits(job, ["io.weight"])).toEqual([]);
  expect([text("io.weight"), text("io.bfq.weight")]).toEqual(["default 300\n8:0 50", "default 118"]);
  govern();
  for (const change of job.changes) if (change.kind === "file-written") restoreFile(fs, change);
  expect([text("io.weight"), text("io.bfq.weight")]).toEqual(["default 300\n8:0 50", "default 118"]);
});

test("a weight that BFQ has kept is as tight as the one that was asked for", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10_000 }), (weight) => {
      const kept = toBfqWeight(weight);
      expect(kept).toBeWithin(1, 1001);
      expect(LIMITS["io.weight"].compare.isAsTight(fromBfqWeight(kept), weight)).toBeTrue();
      expect(fromBfqWeight(kept)).toBeLessThanOrEqual(weight);
    }),
  );
});

test("a weight acts on disks with BFQ, and with io.cost enabled", () => {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  try {
    for (const [disk, scheduler, dev] of [
      ["sda", "none [mq-deadline] bfq", "8:0"],
      ["sdb", "none [bfq]", "8:16"],
      ["vda", "[none]", "254:0"],
    ] as const) {
      mkdirSync(join(directory, disk, "queue"), { recursive: true });
      writeFileSync(join(directory, disk, "queue", "scheduler"), `${scheduler}\n`);
      writeFileSync(join(directory, disk, "dev"), `${dev}\n`);
    }
    const qos = "8:0 enable=0 ctrl=auto\n254:0 enable=1 ctrl=auto rpct=0.00\n";
    expect(readDiskWeights(qos, directory)).toEqual({
      acting: [
        { disk: "sdb", by: "bfq" },
        { disk: "vda", by: "io.cost" },
      ],
      without: [{ disk: "sda", scheduler: "mq-deadline" }],
    });
    expect(readDiskWeights("", directory).acting).toEqual([{ disk: "sdb", by: "bfq" }]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
