import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { FFRTMP, lacksCommand, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

for (const code of [0, 1, 42, 125, 126, 127, 255]) {
  test(`run exits with the command's exit code ${code}`, async () => {
    const args = ["run", "--job-id", "coded", "--", "sh", "-c", `exit ${code}`];
    const ended = await sandbox().run(args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(`| exit=${code} |`);
    const { result } = await sandbox().json(["inspect", "coded"]);
    // A job that fails by itself is compliant: governance did its part.
    expect(result).toMatchObject({ exit_code: code, signal: null, exit_evidence: "parent" });
    expect(result.platform_sla_compliant).toBe(true);
  });
}

for (const [signal, number] of [
  ["SIGSEGV", 11],
  ["SIGKILL", 9],
  ["SIGTERM", 15],
  ["SIGABRT", 6],
  ["SIGRTMIN+6", 40],
] as const) {
  test(`run exits with 128 + ${number} when ${signal} ends the command`, async () => {
    const ended = await sandbox().run(["run", "--job-id", "hit", "--", "sh", "-c", `kill -${number} $$`]);
    expect(ended.code).toBe(128 + number);
    const { result } = await sandbox().json(["inspect", "hit"]);
    expect(result).toMatchObject({ exit_code: null, signal, exit_evidence: "parent" });
  });
}

test("run exits with 137 when another process kills the command", async () => {
  const { wrapper, pid, jobId } = await sandbox().startJob("victim", [], ["sleep", "1000"]);
  process.kill(pid, "SIGKILL");
  expect(await wrapper.exited).toBe(137);
  expect((await sandbox().json(["inspect", jobId])).result).toMatchObject({ signal: "SIGKILL" });
});

testIf(lacksCommand("perl"))(
  "run records how its command ended although its parent ignores SIGCHLD",
  async () => {
    // An ignored signal stays ignored over exec, and a process that ignores SIGCHLD cannot wait for its
    // children.
    const ignoring = ["perl", "-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV", FFRTMP];
    for (const [script, code] of [
      ["exit 42", 42],
      ["kill -SEGV $$", 139],
    ] as const) {
      const wrapper = sandbox().spawn([...ignoring, "run", "--job-id", "orphaned", "--", "sh", "-c", script]);
      expect(await wrapper.exited).toBe(code);
      expect((await sandbox().json(["inspect", "orphaned"])).result).toMatchObject({
        exit_code: code === 42 ? 42 : null,
        exit_evidence: "parent",
        platform_sla_compliant: true,
      });
    }
    const background = sandbox().spawn([
      ...ignoring,
      "run",
      "-d",
      "--job-id",
      "left",
      "--",
      "sh",
      "-c",
      "exit 7",
    ]);
    expect(await background.exited).toBe(0);
    expect(await sandbox().resultOf("left")).toMatchObject({ exit_code: 7, exit_evidence: "parent" });
  },
);

test("run exits with 127 for a command that does not exist, and with 126 for one that cannot be executed", async () => {
  const directory = sandbox().path("directory");
  mkdirSync(directory);
  const text = sandbox().path("text");
  writeFileSync(text, "no program");
  for (const [command, code] of [
    ["no-such-command", 127],
    ["/no/such/command", 127],
    [directory, 126],
    [text, 126],
  ] as const) {
    const ended = await sandbox().run(["run", "--", command]);
    expect({ command, code: ended.code }).toEqual({ command, code });
    expect(ended.stderr).toContain(command);
    expect(ended.stdout).toBe("");
  }
  expect(await sandbox().json(["ps"])).toEqual([]);
  expect(sandbox().cgroups()).toEqual([]);
});
