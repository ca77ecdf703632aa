import { expect, test } from "bun:test";
import { expectMessage, expectNothingDone, type Misuse, testMisuses } from "../support/badInput.ts";
import { lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

function badId(name: string, jobId: string, complaint: RegExp): Misuse {
  return {
    name: `run refuses a job id ${name}`,
    args: ["run", "--job-id", jobId, "--", "true"],
    stderr: [/'--job-id <id>'/, complaint],
  };
}

testMisuses(sandbox, [
  badId("that is empty", "", /it is empty/),
  badId("with a slash", "a/b", /character 2 is "\/"; letters, digits, "\.", "_" and "-" are allowed/),
  badId("that leads upwards", "..", /does not start with a letter or a digit/),
  badId("that leads upwards from within", "a/../../b", /character 2 is "\/"/),
  badId("with a space", "a b", /character 2 is " "/),
  badId("with a newline", "a\nb", /character 2 is "\\n"/),
  badId("of 300 characters", "x".repeat(300), /it has 300 characters, and at most 128 are allowed/),
  badId("with a letter beyond ASCII", "été", /character 1 is "é"/),
  badId("with an emoji, shown whole", "job-🎬", /character 5 is "🎬"/),
  badId("that looks like an option", "-x", /does not start with a letter or a digit/),
]);

function badLimit(option: string, value: string, ...complaints: RegExp[]): Misuse {
  return {
    name: `run refuses ${option} ${JSON.stringify(value)}`,
    args: ["run", option, value, "--", "true"],
    stderr: [new RegExp(`option '${option} `), /try: ffrtmp run --help/, ...complaints],
  };
}

const PERCENT = /Expected: CPU time: percent of a core \(150, "150%"\) or "1\.5 cores"/;
const WEIGHT = /Expected: a share of contended CPU from 1 to 10000/;
const SOFT = /Expected: a soft limit: a number of MiB, or a size such as 2GiB/;
const HARD = /Expected: a hard limit: a size such as 2GiB, or a number of bytes/;
const IO_FORM = /"8:0 rbps=50MB\/s wiops=500"/;

testMisuses(sandbox, [
  ...["-5", "1e9", "1000000000", "0.5", "", "abc", "NaN", "50 apples"].map((value) =>
    badLimit("--cpu-quota", value, PERCENT),
  ),
  ...["10001", "-1", "1.5", ""].map((value) => badLimit("--cpu-weight", value, WEIGHT)),
  ...["-1", "512 kB", "9e99", ""].map((value) => badLimit("--memory-limit", value, SOFT)),
  ...["-1", "64", "64K", "9e99", ""].map((value) => badLimit("--memory-max", value, HARD)),
  badLimit("--memory-max", "64", /a number without a unit is in bytes here/),
  badLimit("--cpu-max", "", /"50000 100000"/),
  badLimit("--cpu-max", "50000 100000 1", /It is not a quota with its period/),
  badLimit("--cpu-max", "50000 10", /has a period outside 1000 to 1000000 µs/),
  badLimit("--cpu-max", "-1 100000", /CPU time per period in µs/),
  badLimit("--io-max", "", IO_FORM),
  badLimit("--io-max", "8:0", /It has no rate/, IO_FORM),
  badLimit("--io-max", "rbps=1M", IO_FORM),
  badLimit("--pids-max", "0", /from 1 to 4194304/),
  badLimit("--cpus", "0-", /a list of CPU numbers, such as 0-3,8/),
  badLimit("--cpus", "", /a list of CPU numbers/),
  badLimit("--nice", "20", /from -20 \(favoured\) to 19/),
  badLimit("--ionice", "realtime:8", /realtime:0 to realtime:7/),
  badLimit("--oom-score-adj", "1001", /from -1000 \(never killed\) to 1000/),
]);

testMisuses(sandbox, [
  {
    name: "run refuses --cpu-quota together with --cpu-max",
    args: ["run", "--cpu-quota", "50", "--cpu-max", "50000 100000", "--", "true"],
    stderr: [/'--cpu-quota <percent>' cannot be used with option '--cpu-max <quota period>'/],
  },
  {
    name: "run refuses an unknown option",
    args: ["run", "--cpu-qouta", "50", "--", "true"],
    stderr: [/unknown option '--cpu-qouta'\n {2}try: --cpu-quota\n {2}try: ffrtmp run --help\n$/],
  },
  {
    name: "run asks for a command, with an example",
    args: ["run"],
    stderr: [/missing required argument 'cmd'\n {2}try: ffrtmp run --cpu-quota 150 -- ffmpeg/],
  },
  {
    name: "no argument adds a line to a message or changes the terminal",
    args: ["run", "--tenant", "a\nffrtmp: b\u001b[2J", "--", "true"],
    stderr: [/^ffrtmp: option '--tenant <name>' argument 'a\\u000affrtmp: b\\u001b\[2J' is invalid/],
  },
  {
    name: "run refuses an option without its value",
    args: ["run", "--job-id"],
    stderr: [/'--job-id <id>' argument missing/],
  },
  {
    name: "run refuses -- as the value of an option",
    args: ["run", "--cpu-quota", "--", "true"],
    stderr: [/'--cpu-quota <percent>' argument '--' is invalid/],
  },
  {
    name: "ffrtmp refuses an unknown command",
    args: ["inspekt", "job"],
    stderr: [/unknown command 'inspekt'\n {2}try: ffrtmp inspect\n {2}try: ffrtmp --help\n$/],
  },
  { name: "ffrtmp refuses an unknown option", args: ["--job"], stderr: [/unknown option '--job'/] },
  { name: "ps refuses arguments", args: ["ps", "job"], stderr: [/too many arguments for 'ps'/] },
  { name: "inspect asks for a job", args: ["inspect"], stderr: [/missing required argument 'job'/] },
  {
    name: "attach asks for a pid",
    args: ["attach"],
    stderr: [/no process given\n {2}try: ffrtmp attach --pid N, or --job JOB/],
  },
  {
    name: "history refuses to show nothing",
    args: ["history", "--limit", "0"],
    stderr: [/from 1 to 1000000/],
  },
  {
    name: "watch refuses a scan interval of 0",
    args: ["watch", "--scan-interval", "0"],
    stderr: [/a time from 100ms to 24h, such as 10s/],
  },
  {
    name: "watch refuses a target without a name",
    args: ["watch", "--once", "--target", ""],
    stderr: [/the name of a command without its directory, such as ffmpeg/],
  },
  {
    name: "watch refuses a target with a directory, because no process name has one",
    args: ["watch", "--once", "--target", "/usr/bin/ffmpeg"],
    stderr: [/the name of a command without its directory, such as ffmpeg/],
  },
]);

testMisuses(
  sandbox,
  ["inspect", "detach", "logs"].flatMap((command) => [
    {
      name: `${command} reports a job that does not exist`,
      args: [command, "never-was"],
      stderr: [
        /there is no job never-was in \S+ledger\.db/,
        /there is no state at that place; root.s state (is|would be) \/var\/lib\/ffrtmp/,
      ],
    },
    {
      name: `${command} reports an empty job id`,
      args: [command, ""],
      stderr: [/there is no job "" in /],
    },
    {
      name: `${command} does not print the control characters of a job id`,
      args: [command, "\u001b[31mred"],
      stderr: [/there is no job \\u001b\[31mred in /],
    },
  ]),
);

test("ffrtmp without a command prints its help and fails", async () => {
  const { code, stdout, stderr } = await sandbox().run([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toMatch(/^Usage: ffrtmp/);
});

testIf(lacksLimits())(
  "a memory limit above the machine's memory limits nothing, and a warning names the unit",
  async () => {
    for (const [option, value, unit] of [
      ["--memory-limit", "99999999", "in MiB"],
      ["--memory-max", "99T", "in bytes"],
    ] as const) {
      const { code, stdout, stderr } = await sandbox().run([
        "run",
        option,
        value,
        "--",
        "sh",
        "-c",
        "echo ran; exit 3",
      ]);
      expect({ code, stdout }).toEqual({ code: 3, stdout: "ran\n" });
      expectMessage(stderr, [
        new RegExp(
          `^ffrtmp: ${option} is more than the \\d+ MiB of this machine and has no effect; a number without a unit is ${unit}$`,
          "m",
        ),
      ]);
    }
  },
);

test("run, run --detach and attach refuse the id of a running job", async () => {
  const { pid } = await sandbox().startJob("taken", [], ["sleep", "60"]);
  const taken = [
    new RegExp(`the job id taken is taken by a job that still runs as PID ${pid}`),
    /try: choose another --job-id, or see: ffrtmp inspect taken/,
  ];
  const other = sandbox().spawn(["sleep", "60"]);
  for (const [code, ...args] of [
    [125, "run", "--job-id", "taken", "--", "true"],
    [125, "run", "--detach", "--job-id", "taken", "--", "true"],
    [2, "attach", "--job-id", "taken", "--pid", String(other.pid)],
  ] as const) {
    const ended = await sandbox().run([...args]);
    expect({ ...ended, stderr: "" }).toEqual({ code, stdout: "", stderr: "" });
    expectMessage(ended.stderr, taken);
  }
  expect((await sandbox().json(["ps"])).map((job: { pid: number }) => job.pid)).toEqual([pid]);
  expect(await sandbox().json(["history"])).toEqual([]);
});

test("a job that has ended can be inspected but not detached, and has no log", async () => {
  await sandbox().run(["run", "--job-id", "over", "--", "true"]);
  expect((await sandbox().run(["inspect", "over"])).code).toBe(0);
  const detach = await sandbox().run(["detach", "over"]);
  expect({ code: detach.code, stdout: detach.stdout }).toEqual({ code: 2, stdout: "" });
  expectMessage(detach.stderr, [/job over has already ended/, /try: ffrtmp inspect over/]);
  for (const follow of [[], ["--follow"]]) {
    const logs = await sandbox().run(["logs", "over", ...follow]);
    expect({ code: logs.code, stdout: logs.stdout }).toEqual({ code: 2, stdout: "" });
    expectMessage(logs.stderr, [/job over has no log: only run --detach captures output/]);
  }
});

test("the id of a job that has ended can be used again", async () => {
  for (const code of [3, 4]) {
    const ended = await sandbox().run(["run", "--job-id", "again", "--", "sh", "-c", `exit ${code}`]);
    expect(ended.code).toBe(code);
  }
  expect((await sandbox().json(["inspect", "again"])).result.exit_code).toBe(4);
  expect(await sandbox().json(["history"])).toHaveLength(2);
});

test("--help and --version start no job", async () => {
  for (const args of [["--help"], ["help", "run"], ["run", "--help"], ["--version"]]) {
    const { code, stdout, stderr } = await sandbox().run(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^(Usage: ffrtmp|\d+\.\d+\.\d+\n$)/);
  }
  await expectNothingDone(sandbox());
});
