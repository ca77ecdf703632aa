import { expect, test } from "bun:test";
import { availableParallelism } from "node:os";
import { listDisks } from "../../src/linux/blockDevice.ts";
import { expectMessage, type Misuse, testMisuses } from "../support/badInput.ts";
import { lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

function foreignOption(option: string, ...stderr: RegExp[]): Misuse {
  return {
    name: `run names its own option for ${option}`,
    args: ["run", ...option.split(" "), "--", "true"],
    stderr: [/unknown option '/, /try: ffrtmp run --help/, ...stderr],
  };
}

testMisuses(sandbox, [
  foreignOption("--memory 2g", /try: --memory-limit 2GiB, .* or --memory-max 2GiB/),
  foreignOption("--memory=2g", /try: --memory-limit 2GiB/),
  foreignOption("-m 2g", /try: --memory-limit 2GiB/),
  foreignOption("--cpu-shares 512", /try: --cpu-weight 100/),
  foreignOption("--cpuset-cpus 0", /try: --cpus 0-3/),
  foreignOption("--pids-limit 10", /try: --pids-max 100/),
  foreignOption("--name x", /try: --job-id NAME/),
  foreignOption("--unit=x", /try: --job-id NAME/),
  foreignOption("-p CPUQuota=50%", /try: --cpu-quota 150 for CPUQuota=150%/),
  foreignOption("-e TZ=UTC", /try: --setenv NAME=VALUE/),
  foreignOption("--rm", /try: without it: an ended job leaves a record/),
  {
    name: "watch has no option for the name of a container, and names none",
    args: ["watch", "--name", "x"],
    stderr: [/unknown option '--name'\n(?: {2}try: --nice\n)? {2}try: ffrtmp watch --help/],
  },
  {
    name: "a command of another tool is answered with what to do here, and not with a similar name",
    args: ["stop", "x"],
    stderr: [/unknown command 'stop'\n {2}try: kill PID, or kill -- -PID .*: ffrtmp sends no signal\n/],
  },
  {
    name: "a command of another tool is answered in a group of commands too",
    args: ["fleet", "status"],
    stderr: [/unknown command 'status'\n {2}try: ffrtmp fleet ps\n {2}try: ffrtmp fleet --help\n$/],
  },
  {
    name: "run explains that --cpus 1.5 is no list, and names the quota",
    args: ["run", "--cpus", "1.5", "--", "true"],
    stderr: [/a quota of 150 \(--cpu-quota, cpu_quota\) gives 1\.5 cores of CPU time/],
  },
  ...["0", "-5", "4194305", "999999999", "99999999999999999999999"].flatMap((pid): Misuse[] => [
    {
      name: `attach reports that process ${pid} does not exist`,
      args: ["attach", "--pid", pid],
      stderr: [new RegExp(`process ${pid} does not exist`), /try: see what runs/],
    },
    {
      name: `policy explain reports that process ${pid} does not exist`,
      args: ["policy", "explain", "--pid", pid],
      stderr: [new RegExp(`process ${pid} does not exist`)],
    },
  ]),
]);

limitsTest("a value that is valid and unlikely is applied, with a warning", async () => {
  const warnings: [option: string, value: string, warning: RegExp][] = [
    ["--cpu-quota", "1.5", /^ffrtmp: --cpu-quota 1\.5 is 1\.5 % of one core; perhaps: 150 for 1\.5 cores/m],
    ["--cpu-quota", "50000", /^ffrtmp: a CPU quota of 500 cores is more than the \d+ CPUs of this machine/m],
    ["--cpus", "1", /^ffrtmp: --cpus 1 is the CPU with number 1, .* or 1-1 if that CPU is meant$/m],
  ];
  for (const [option, value, warning] of warnings) {
    for (const detach of [[], ["--detach"]]) {
      const ended = await sandbox().run(["run", ...detach, option, value, "--", "true"]);
      expect(ended.code).toBe(0);
      expectMessage(ended.stderr, [warning]);
      expect(ended.stderr.match(new RegExp(warning, "gm"))).toHaveLength(1);
    }
  }
  const meant = await sandbox().run(["run", "--json", "--cpu-quota", "1.5%", "--cpus", "0-0", "--", "true"]);
  const { limits } = JSON.parse(meant.stderr);
  expect(limits).toMatchObject([
    { limit: "cpu.max", outcome: "applied", actual: "1500 100000" },
    { limit: "cpuset.cpus", outcome: "applied" },
  ]);
});

limitsTest("0 and max ask for no limit", async () => {
  for (const flags of [
    ["--cpu-quota", "0", "--memory-limit", "0", "--memory-max", "0"],
    ["--cpu-quota", "max", "--pids-max", "max", "--io-max", "max", "--nice", "max"],
  ]) {
    const { code, stderr } = await sandbox().run(["run", "--json", ...flags, "--", "true"]);
    expect({ code, limits: JSON.parse(stderr).limits }).toEqual({ code: 0, limits: [] });
  }
});

limitsTest(
  "a disk and a CPU that this machine does not have are refused, and the workload runs",
  async () => {
    const beyond = String(Math.max(availableParallelism(), 512));
    const refusals: [option: string, value: string, because: RegExp][] = [
      [
        "--io-max",
        "999:999 rbps=1M",
        /^there is no block device 999:999; this machine (?:has \d+:\d+|shows)/,
      ],
      ["--io-max", "nothing-here rbps=1M", /^nothing-here does not exist; this machine/],
      ["--io-max", "/proc rbps=1M", /^\/proc is on a file system without its own disk/],
      ["--cpus", `${beyond}-${beyond}`, /^this machine has CPUs [\d,-]+ only$/],
    ];
    for (const [option, value, because] of refusals) {
      const ended = await sandbox().run(["run", "--json", option, value, "--", "sh", "-c", "exit 3"]);
      expect(ended.code).toBe(3);
      const [warning = "", ...json] = ended.stderr.split("\n");
      expect(warning).toMatch(/^ffrtmp: job \S+ runs without (?:io\.max|cpuset\.cpus) \(/);
      expect(JSON.parse(json.join("\n")).limits).toMatchObject([
        { outcome: "refused", because: expect.stringMatching(because) },
      ]);
    }
  },
);

limitsTest("limits set refuses them too, and the other CPUs of a list are used", async () => {
  const { jobId } = await sandbox().startJob("asked", [], ["sleep", "600"]);
  const { limits } = await sandbox().json(["limits", "set", jobId, "--cpus", "0,600-601"]);
  expect(limits).toMatchObject([
    {
      limit: "cpuset.cpus",
      outcome: "partial",
      actual: "0",
      because: expect.stringMatching(/; this machine has CPUs .* only$/),
    },
  ]);
  const again = await sandbox().json(["limits", "set", jobId, "--io-max", "/nowhere rbps=1M"]);
  expect(again.limits).toContainEqual(expect.objectContaining({ limit: "io.max", outcome: "refused" }));
});

test("watch splits --target at commas, and accepts the options of the older tool without effect", async () => {
  // Names that no other process of the machine has.
  const { tag } = sandbox();
  const older = [
    ...["--enable-state", "--state-flush-interval=30s", "--enable-retry=true", "--max-retry-attempts", "5"],
    ...["--target", `ffmpeg-${tag}, gst-${tag}`, `--target=x264-${tag}`],
    ...["--cpu-quota", "0", "--memory-limit=0"],
  ];
  const { code, stderr } = await sandbox().run(["watch", "--once", ...older]);
  expect(code).toBe(0);
  expect(stderr).toContain(`Watching for ffmpeg-${tag}, gst-${tag}, x264-${tag}, from the command line`);
  const { stdout } = await sandbox().run(["watch", "--help"]);
  expect(stdout).toMatch(
    /Accepted for compatibility, without effect:\n +--enable-state .*\n +--state-flush-int/,
  );
});

limitsTest("CPUs and disks of which the machine has only some are used, with a warning", async () => {
  const [disk] = listDisks();
  const rates = disk === undefined ? [] : [`${disk.split(" ")[0]} rbps=1M`, "/nowhere rbps=1M"];
  const flags = ["--cpus", "0,600-601", ...rates.flatMap((rate) => ["--io-max", rate])];
  const { code, stderr } = await sandbox().run(["run", "--job-id", "some", ...flags, "--", "true"]);
  expect(code).toBe(0);
  expectMessage(stderr, [
    /job some runs with only part of .*cpuset\.cpus \(.*this machine has CPUs [\d,-]+ only\)/,
  ]);
  if (disk === undefined) return console.log("not tried: --io-max on two disks (this machine shows none)");
  expectMessage(stderr, [/job some runs with only part of io\.max \(.*\/nowhere does not exist/]);
  const { limits } = await sandbox().json(["inspect", "some"]);
  expect(limits).toMatchObject([
    { limit: "io.max", outcome: "partial" },
    { limit: "cpuset.cpus", outcome: "partial", actual: "0" },
  ]);
});
