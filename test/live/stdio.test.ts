import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const perlTest = testIf(lacksCommand("perl"));
const terminalTest = testIf(lacksCommand("script"));

const PRINT_WORDS = 'print unpack("H*", $_), "\\n" for @ARGV';

test("stdout has only the command's output, and ffrtmp writes to stderr", async () => {
  const { stdout, stderr } = await sandbox().run(["run", "--", "sh", "-c", "echo out; echo err >&2"]);
  expect(stdout).toBe("out\n");
  expect(stderr).toMatch(/^err\nJOB sh-.*\n$/);
});

test("the command inherits a stdin that is no terminal", async () => {
  const { stdout } = await sandbox().run(["run", "--", "cat"], { stdin: new Blob(["some words"]) });
  expect(stdout).toBe("some words");
});

test("the three standard descriptors are the caller's own files, not pipes of ffrtmp", async () => {
  const script = '"$0" run -- readlink /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 <"$1" >"$2" 2>>"$2"';
  const [input, output] = [sandbox().path("in"), sandbox().path("out")];
  writeFileSync(input, "");
  await sandbox().spawn(["sh", "-c", script, FFRTMP, input, output]).exited;
  expect(readFileSync(output, "utf8")).toStartWith(`${input}\n${output}\n${output}\n`);
});

test("a command inherits every other open descriptor of the caller, and no more", async () => {
  const input = sandbox().path("in");
  writeFileSync(input, "by three");
  const shown = await shell('exec 3<"$1" 7>&1; "$0" run -- sh -c "cat <&3; echo seven >&7"', input);
  expect(shown).toBe("by threeseven\n");
  const list = "ls /proc/self/fd | tr '\\n' ' '";
  // ls itself opens one, the lowest free one.
  expect(await shell(`exec 5<"$1"; "$0" run -- sh -c "${list}"`, input)).toBe("0 1 2 3 5 ");
});

perlTest("arguments are passed byte for byte, whatever their bytes", async () => {
  const script = `"$0" run -- perl -e '${PRINT_WORDS}' "$(printf 'a\\377\\200b')" '' ' $x "y" \\' "$(printf 'l\\nm')"`;
  const expected = ["61ff8062", "", "20247820227922205c", "6c0a6d"];
  expect(await shell(script)).toBe(`${expected.join("\n")}\n`);
  // ffrtmp passes UTF-8 in another way.
  const utf8 = await shell(`"$0" run -- perl -e '${PRINT_WORDS}' 'ä' '' '-x' '--'`);
  expect(utf8).toBe("c3a4\n\n2d78\n2d2d\n");
});

perlTest("arguments are passed byte for byte with --detach too", async () => {
  const script = `"$0" run -d --job-id raw -- perl -e '${PRINT_WORDS}' "$(printf 'a\\377\\200b')" 'ä'`;
  expect(await shell(script)).toBe("raw\n");
  await sandbox().resultOf("raw");
  expect((await sandbox().run(["logs", "raw"])).stdout).toBe("61ff8062\nc3a4\n");
});

test("the command has the caller's environment and working directory, byte for byte", async () => {
  const environment = "export RAW=\"$(printf '\\377\\200')\" EMPTY= LINES=\"$(printf 'a\\nb')\"";
  const list = "env -0 | tr '\\0\\n' '\\n ' | sort";
  const bare = await shell(`${environment}; ${list}`);
  expect(await shell(`${environment}; "$0" run -- env -0 | tr '\\0\\n' '\\n ' | sort`)).toBe(bare);
  expect(await shell('cd /usr/lib; "$0" run -- pwd')).toBe("/usr/lib\n");
  expect(await shell('cd /usr/lib; "$0" run --workdir .. -- pwd')).toBe("/usr\n");
});

test("a relative path of a command is relative to --workdir", async () => {
  const directory = sandbox().path("tools");
  mkdirSync(directory);
  writeFileSync(`${directory}/tool`, "#!/bin/sh\npwd\n", { mode: 0o755 });
  const { stdout } = await sandbox().run(["run", "--workdir", directory, "--", "./tool"]);
  expect(stdout).toBe(`${directory}\n`);
});

test("the command has the caller's soft limit on open files", async () => {
  expect(await shell('ulimit -Sn 777; "$0" run -- sh -c "ulimit -Sn"; :')).toBe("777\n");
  const hard = await shell("ulimit -Hn");
  expect(await shell('ulimit -Sn 777; "$0" run -- sh -c "ulimit -Hn"; :')).toBe(hard);
});

test("the command has its own session and process group, and default signal handling", async () => {
  const { stdout } = await sandbox().run(["run", "--", "cat", "/proc/self/stat", "/proc/self/status"]);
  const fields = stdout.split("\n")[0]?.split(" ") ?? [];
  const [pid, , , , group, session, terminal] = fields;
  expect({ group, session, terminal }).toEqual({ group: pid, session: pid, terminal: "0" });
  expect(stdout).toMatch(/^SigBlk:\s+0+$/m);
  const bare = await shell("cat /proc/self/status");
  expect(stdout).toContain(/^SigIgn:\s+\S+$/m.exec(bare)?.[0] ?? "SigIgn");
});

terminalTest("a command that reads from a terminal is not stopped", async () => {
  const output = sandbox().path("out");
  // If SIGTTIN stopped it or it waited for input, it would never print its second word.
  const terminal = onTerminal(sandbox(), `run -- sh -c 'cat; echo done' > '${output}'`);
  await until("the command has ended", () => terminal.exitCode !== null);
  expect(terminal.exitCode).toBe(0);
  expect(readFileSync(output, "utf8")).toBe("done\n");
});

terminalTest("the job keeps running after Ctrl-C, and run exits with 130", async () => {
  const terminal = onTerminal(sandbox(), "run --job-id typed -- sleep 1000");
  const pid = await sandbox().pidOf("typed");
  sandbox().adopt(pid);
  const input = terminal.stdin as Bun.FileSink;
  input.write("\u0003");
  await input.flush();
  expect(await terminal.exited).toBe(130);
  expect(isRunning(pid)).toBe(true);
});

terminalTest("the job keeps running when its terminal is closed", async () => {
  const terminal = onTerminal(sandbox(), "run --job-id hung-up -- sleep 1000");
  const pid = await sandbox().pidOf("hung-up");
  sandbox().adopt(pid);
  const [{ observer_pid: wrapper }] = await sandbox().json(["ps"]);
  terminal.kill("SIGKILL");
  await until("the wrapper has ended", () => !isRunning(wrapper));
  expect(isRunning(pid)).toBe(true);
  expect(await sandbox().json(["ps"])).toMatchObject([{ job_id: "hung-up", observer_pid: null }]);
});

/** Runs a shell script with ffrtmp as $0 and returns its stdout, as Latin-1 for raw bytes. */
async function shell(script: string, ...words: string[]): Promise<string> {
  const child = sandbox().spawn(["sh", "-c", script, FFRTMP, ...words], { stderr: "ignore" });
  const bytes = await new Response(child.stdout as ReadableStream).arrayBuffer();
  await child.exited;
  return Buffer.from(bytes).toString("latin1");
}

/** Runs ffrtmp with a pseudo terminal as its controlling terminal. */
function onTerminal(box: Sandbox, args: string): Bun.Subprocess {
  const line = `exec '${FFRTMP}' ${args}`;
  return box.spawn(["script", "-qec", line, "/dev/null"], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    env: { SHELL: "/bin/sh" },
  });
}
