import { expect } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, statSync } from "node:fs";
import { PolicyBox } from "../support/policyBox.ts";
import {
  lacksCommand,
  lacksLimits,
  readProc,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const unless = lacksLimits() ?? lacksCommand("perl") ?? lacksCommand("setpriv");
const AS_STRANGER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/** A line of the log, as another user would like to see it there. */
const FORGED = "JOB forged | sla=COMPLIANT | reason=completed_successfully | runtime=1s | exit=0 | pid=1";
/** A new line, an erased screen, a C1 control, a bidirectional override, a line separator and a lone byte. */
const HOSTILE = `\n${FORGED}\n\u001b[2J\u009b31m\u202e\u2066\u2028\u0007`;

function isDangerous(codePoint: number): boolean {
  if (codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f)) return codePoint !== 0x0a;
  if (codePoint === 0x061c || codePoint === 0x200e || codePoint === 0x200f) return true;
  return (codePoint >= 0x2028 && codePoint <= 0x202e) || (codePoint >= 0x2066 && codePoint <= 0x2069);
}

/** Expects bytes that change no terminal and forge no line. */
function expectClean(name: string, output: string): void {
  const raw = [...output].filter((character) => isDangerous(character.codePointAt(0) as number));
  expect({ name, raw, isText: output.isWellFormed() }).toEqual({ name, raw: [], isText: true });
  expect({ name, forged: output.split("\n").filter((line) => /^\s*(\S+Z )?JOB forged/.test(line)) }).toEqual({
    name,
    forged: [],
  });
}

/** Starts a program of another user with these arguments, and returns its PID. */
function startAsStranger(
  box: Sandbox,
  program: string,
  argv: string[],
  { env = {}, cwd }: { env?: Record<string, string>; cwd?: string } = {},
): number {
  const script = "my $program = shift; exec { $program } @ARGV or die $!";
  const command = [...AS_STRANGER, "perl", "-e", script, program, ...argv];
  const output = { stdout: "ignore", stderr: "ignore" } as const;
  return box.spawn(command, { env, ...(cwd === undefined ? {} : { cwd }), ...output }).pid;
}

testIf(unless)("what strangers name themselves reaches no output raw", async () => {
  const box = new PolicyBox(sandbox());
  const { tag, state } = sandbox();
  const suffix = `-${tag}`;
  const directory = sandbox().path(`cwd${HOSTILE}`);
  mkdirSync(directory);
  const program = sandbox().path(`\u001b[2J\nJOB${suffix}`);
  copyFileSync(Bun.which("sleep") as string, program);
  for (const path of [directory, program]) chmodSync(path, 0o755);
  box.write(`
target_commands: ["*${suffix}"]
rules:
  - name: by-variable
    match: {command: "*${suffix}", env: {KIND: "*"}}
    tenant: "{env:TENANT}"
  - name: by-directory
    match: {command: "*${suffix}", env: {WHERE: "*"}}
    tenant: "{cwd:3}"
`);
  const argv = [`x${HOSTILE}${suffix}`, "600"];
  const pids = [
    startAsStranger(sandbox(), program, argv, { cwd: directory }),
    startAsStranger(sandbox(), program, argv, { env: { KIND: "a", TENANT: `acme${HOSTILE}` } }),
    startAsStranger(sandbox(), program, argv, { env: { WHERE: "a" }, cwd: directory }),
  ];
  for (const pid of pids) await until("it runs the program", () => readProc(pid, "comm").includes("[2J"));
  const dryRun = await sandbox().run(["watch", "--dry-run", "--watch-config", box.file]);
  expectClean("dry run", dryRun.stdout + dryRun.stderr);
  const [pid = 0] = pids;
  for (const args of [["--pid", `${pid}`], ["--all"]]) {
    const explain = ["policy", "explain", ...args, "--watch-config", box.file];
    for (const each of [explain, [...explain, "--json"]]) {
      const { stdout, stderr } = await sandbox().run(each);
      expectClean(each.join(" "), stdout + stderr);
    }
  }
  const daemon = await box.start("--scan-interval", "100ms");
  for (const each of pids) await box.governed(each);
  const jobs = await sandbox().json(["ps"]);
  expect(jobs).toMatchObject(
    pids.map(() => ({ command: [argv[0] as string, "600"], command_cut: false, tenant: null })),
  );
  expect(jobs.map((job: { pid: number }) => job.pid).toSorted()).toEqual(pids.toSorted());
  for (const args of [
    ["ps"],
    ["ps", "--json"],
    ["ps", "--daemon"],
    ["ps", "--daemon", "--json"],
    ["doctor"],
  ]) {
    const { stdout, stderr } = await sandbox().run(args);
    expectClean(args.join(" "), stdout + stderr);
  }
  for (const { job_id } of jobs) {
    for (const args of [
      ["inspect", job_id],
      ["inspect", job_id, "--json"],
      ["logs", job_id],
    ]) {
      const { stdout, stderr } = await sandbox().run(args);
      expectClean(args.join(" "), stdout + stderr);
    }
  }
  const refused = await sandbox().run(["attach", "--pid", `${pid}`]);
  expectClean("attach", refused.stderr);
  for (const each of pids) process.kill(each, "SIGKILL");
  await until("the jobs have ended", async () => (await sandbox().json(["ps"])).length === 0);
  for (const args of [["history"], ["history", "--json"]]) {
    const { stdout, stderr } = await sandbox().run(args);
    expectClean(args.join(" "), stdout + stderr);
  }
  daemon.kill();
  await daemon.exited;
  expectClean("the log", box.log());
  expect(box.log().match(/ JOB auto-\S+ \| outcome=killed \| sla=/g)).toHaveLength(pids.length);
  // The two tenants are refused, said once each, and counted.
  expect(
    box
      .log()
      .match(
        /no tenant for PID \d+ \(.*\): \{(env:TENANT|cwd:3)\} that contains a control character is refused$/gm,
      ),
  ).toHaveLength(2);
  expect(await sandbox().json(["ps", "--daemon"])).toMatchObject({ tenants_refused: 2 });
  expect(existsSync(state)).toBeTrue();
});

testIf(unless)(
  "megabytes of arguments are neither read nor stored, and the process is governed",
  async () => {
    const box = new PolicyBox(sandbox());
    const { name, path } = sandbox().program("perl");
    box.write(`target_commands: ["${name}"]\n`);
    const daemon = await box.start("--scan-interval", "100ms");
    const pids: number[] = [];
    const big = `map { "\\xc3\\xa9" x 60000 } 1 .. 45`;
    const exec = `exec { "${path}" } "${path}", "-e", "sleep 600", ${big} or die $!`;
    for (let count = 0; count < 10; count++) {
      const command = [
        "sh",
        "-c",
        'ulimit -s unlimited; exec "$@"',
        "sh",
        ...AS_STRANGER,
        "perl",
        "-e",
        exec,
      ];
      pids.push(sandbox().spawn(command, { stdout: "ignore", stderr: "ignore" }).pid);
    }
    for (const pid of pids) await box.governed(pid);
    expect(readProc(pids[0] as number, "cmdline").length).toBeGreaterThan(2_000_000);

    const jobs: { pid: number; job_id: string; command: string[]; command_cut: boolean }[] =
      await sandbox().json(["ps"]);
    expect(jobs).toHaveLength(pids.length);
    // On a busy machine, arguments that cannot be read in time are left out, and the name of the process is used in their place.
    const read = jobs.filter(({ command }) => command.length > 1);
    expect(read.length).toBeGreaterThan(0);
    for (const { command, command_cut } of read) {
      expect(command.slice(0, 3)).toEqual([path, "-e", "sleep 600"]);
      expect(command_cut).toBeTrue();
      const bytes = command.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
      expect(bytes).toBeGreaterThan(8000);
      expect(bytes).toBeLessThanOrEqual(8192);
      expect(command.join("").includes("\ufffd")).toBeFalse();
    }
    const { stdout } = await sandbox().run(["inspect", read[0]?.job_id as string]);
    expect(stdout).toMatch(/^command cut +only the first 8192 bytes of the command are recorded$/m);
    const ledgerBytes = ["ledger.db", "ledger.db-wal"]
      .map((file) => statSync(`${sandbox().state}/${file}`, { throwIfNoEntry: false })?.size ?? 0)
      .reduce((sum, size) => sum + size);
    expect(ledgerBytes).toBeLessThan(8_000_000);
    const peakKb = Number(/^VmHWM:\s+(\d+) kB/m.exec(readProc(daemon.pid, "status"))?.[1]);
    expect(peakKb).toBeLessThan(500_000);
  },
);

testIf(unless)("a variable beyond the part of an environment that is searched is named as such", async () => {
  const box = new PolicyBox(sandbox());
  const { name, path } = sandbox().program("sleep");
  box.write(`
target_commands: [no-such-command]
rules: [{name: paid, match: {command: ${name}, env: {TIER: gold}}, tenant: "{env:TENANT}"}]
`);
  const padding = Object.fromEntries([1, 2, 3].map((each) => [`PAD_${each}`, "x".repeat(100_000)]));
  const start = async (env: Record<string, string>): Promise<number> => {
    const { pid } = sandbox().spawn([path, "600"], { env });
    await until("it runs the program", () => readProc(pid, "comm").startsWith(name.slice(0, 15)));
    return pid;
  };
  const explain = async (pid: number): Promise<string> => {
    const args = ["policy", "explain", "--pid", `${pid}`, "--watch-config", box.file];
    return (await sandbox().run(args)).stdout;
  };
  const early = await start({ TIER: "gold", TENANT: "acme", ...padding });
  expect(await explain(early)).toContain("verdict     govern as");
  const late = await start({ ...padding, TIER: "gold", TENANT: "acme" });
  expect(await explain(late)).toContain("not set in the first 128 KiB of the environment");
  const nameless = await start({ TIER: "gold", ...padding, TENANT: "acme" });
  expect(await explain(nameless)).toContain("no {env:TENANT} in the first 128 KiB of the environment");
});
