import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { expectMessage, expectNothingDone, runScript } from "../support/badInput.ts";
import { lacksCommand, lacksRoot, type Sandbox, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

interface BadCommand {
  name: string;
  command: string[];
  code: 126 | 127;
  stderr: RegExp;
}

const BAD_COMMANDS: BadCommand[] = [
  {
    name: "a command that is not in PATH",
    command: ["no-such-command"],
    code: 127,
    stderr: /cannot run no-such-command: no-such-command is not in PATH \(.*\/bin/,
  },
  {
    name: "a path that does not exist",
    command: ["./no-such-file"],
    code: 127,
    stderr: /cannot run \.\/no-such-file: \.\/no-such-file does not exist/,
  },
  {
    name: "a path below a file",
    command: ["./plain/below"],
    code: 127,
    stderr: /plain\/below does not exist/,
  },
  { name: "an empty word", command: [""], code: 127, stderr: /cannot run "": the command is empty/ },
  { name: "a directory", command: ["./directory"], code: 126, stderr: /\.\/directory is a directory/ },
  {
    name: "a pipe, which would block its reader",
    command: ["./pipe"],
    code: 126,
    stderr: /\.\/pipe is not a regular file/,
  },
  {
    name: "a file that is not executable",
    command: ["./plain"],
    code: 126,
    stderr: /\.\/plain is not executable: chmod \+x it, or name its interpreter/,
  },
  {
    name: "a script whose interpreter is missing",
    command: ["./lost-interpreter"],
    code: 126,
    stderr:
      /the first line of \.\/lost-interpreter names the interpreter "\/no\/such\/sh", which does not exist/,
  },
  {
    name: "a script with Windows line ends",
    command: ["./from-windows"],
    code: 126,
    stderr: /the interpreter "\/bin\/sh\\r": the script has Windows line ends/,
  },
  {
    name: "a script whose interpreter is a directory",
    command: ["./odd-interpreter"],
    code: 126,
    stderr: /the interpreter "\/", which is a directory/,
  },
];

/**
 * Commands that only the kernel rejects. The job is recorded by then, as one that ended and never started.
 */
const UNEXECUTABLE: BadCommand[] = [
  {
    name: "a script whose first line names no interpreter",
    command: ["./no-interpreter"],
    code: 126,
    stderr: /cannot run \.\/no-interpreter: it is not a program for this machine; .*#!\/bin\/sh/,
  },
  {
    name: "a broken program",
    command: ["./broken-elf"],
    code: 126,
    stderr: /cannot run \.\/broken-elf: it is not a program for this machine/,
  },
  {
    name: "an empty file",
    command: ["./empty"],
    code: 126,
    stderr: /cannot run \.\/empty: it is not a program/,
  },
];

function makeFiles({ directory }: Sandbox): void {
  const files: Record<string, [text: string, mode: number]> = {
    plain: ["echo never", 0o644],
    "lost-interpreter": ["#!/no/such/sh -e\necho never\n", 0o755],
    "from-windows": ["#!/bin/sh\r\necho never\r\n", 0o755],
    "odd-interpreter": ["#! /\necho never\n", 0o755],
    "no-interpreter": ["echo never\n", 0o755],
    "broken-elf": ["\u007fELF\u0002\u0001\u0001", 0o755],
    empty: ["", 0o755],
  };
  for (const [name, [text, mode]] of Object.entries(files)) {
    writeFileSync(`${directory}/${name}`, text);
    chmodSync(`${directory}/${name}`, mode);
  }
  mkdirSync(`${directory}/directory`);
  Bun.spawnSync(["mkfifo", "-m", "755", `${directory}/pipe`]);
}

for (const detach of [[], ["--detach"]]) {
  const run = ["run", ...detach].join(" ");

  for (const { name, command, code, stderr } of BAD_COMMANDS) {
    test(`${run} of ${name} leaves no trace`, async () => {
      makeFiles(sandbox());
      const ended = await sandbox().run(["run", ...detach, "--", ...command], { cwd: sandbox().directory });
      expect({ ...ended, stderr: "" }).toEqual({ code, stdout: "", stderr: "" });
      expectMessage(ended.stderr, [stderr]);
      await expectNothingDone(sandbox());
    });
  }

  for (const { name, command, code, stderr } of UNEXECUTABLE) {
    test(`${run} of ${name} leaves only a job that never started`, async () => {
      makeFiles(sandbox());
      const ended = await sandbox().run(["run", ...detach, "--", ...command], { cwd: sandbox().directory });
      expect({ ...ended, stderr: "" }).toEqual({ code, stdout: "", stderr: "" });
      expectMessage(ended.stderr, [stderr]);
      expect(await sandbox().json(["ps"])).toEqual([]);
      expect(await sandbox().json(["history"])).toMatchObject([
        { ending: "never_started", pid: null, exit_code: null, signal: null },
      ]);
      expect(sandbox().cgroups()).toEqual([]);
    });
  }

  test(`${run} without a command asks for one`, async () => {
    for (const args of [
      ["run", ...detach],
      ["run", ...detach, "--"],
    ]) {
      const ended = await sandbox().run(args);
      expect({ ...ended, stderr: "" }).toEqual({ code: 125, stdout: "", stderr: "" });
      expectMessage(ended.stderr, [/missing required argument 'cmd'/, /try: ffrtmp run --help/]);
    }
    await expectNothingDone(sandbox());
  });

  test(`${run} refuses a working directory that is none`, async () => {
    makeFiles(sandbox());
    const { directory } = sandbox();
    for (const [workdir, ...stderr] of [
      [`${directory}/missing`, /missing does not exist/, /try: mkdir -p \/\S+\/missing$/m],
      [`${directory}/plain`, /plain is not a directory/],
      [`${directory}/plain/below`, /plain\/below cannot be entered: ENOTDIR/],
      ["", /--workdir is empty/],
    ] as const) {
      const ended = await sandbox().run(["run", ...detach, "--workdir", workdir, "--", "true"]);
      expect({ ...ended, stderr: "" }).toEqual({ code: 125, stdout: "", stderr: "" });
      expectMessage(ended.stderr, [...stderr]);
    }
    await expectNothingDone(sandbox());
  });
}

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "run refuses a working directory that its user may not enter",
  async () => {
    chmodSync(sandbox().directory, 0o755);
    mkdirSync(sandbox().path("private/within"), { recursive: true });
    chmodSync(sandbox().path("private"), 0o700);
    for (const workdir of ["private", "private/within"]) {
      const { code, stdout, stderr } = await runScript(
        sandbox(),
        `exec setpriv --reuid 65534 --regid 65534 --clear-groups "$F" run --workdir ${workdir} -- true`,
      );
      expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
      expectMessage(stderr, [new RegExp(`--workdir ${workdir} cannot be entered: EACCES`)]);
    }
    await expectNothingDone(sandbox());
  },
);

test("run searches the PATH of its environment for a command, as a shell does", async () => {
  makeFiles(sandbox());
  const { directory } = sandbox();
  const found = await sandbox().run(["run", "--", "sh", "-c", "exit 9"], {
    env: { PATH: `${directory}:/usr/bin:/bin` },
  });
  expect(found.code).toBe(9);
  const notExecutable = await sandbox().run(["run", "--", "plain"], {
    env: { PATH: `/usr/bin:${directory}` },
  });
  expect(notExecutable.code).toBe(126);
  expectMessage(notExecutable.stderr, [new RegExp(`${directory}/plain is not executable`)]);
});

test("run --detach reports limits that are not applied", async () => {
  const { code, stdout, stderr } = await sandbox().run([
    "run",
    "--detach",
    "--job-id",
    "told",
    "--memory-max",
    "99T",
    "--cpus",
    "7777",
    "--",
    "true",
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "told\n" });
  expectMessage(stderr, [
    /--memory-max is more than the \d+ MiB of this machine/,
    /job told runs without (memory\.max .*)?cpuset\.cpus \(.*\)\. To see what this machine allows: ffrtmp doctor/,
  ]);
  await sandbox().resultOf("told");
});
