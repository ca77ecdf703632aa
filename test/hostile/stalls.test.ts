import { afterEach, expect } from "bun:test";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());

const opened: number[] = [];
afterEach(() => {
  for (const fd of opened.splice(0)) closeSync(fd);
});

limitsTest(
  "watch governs and stops although stderr is a full pipe, and reports the messages it dropped",
  async () => {
    const box = sandbox();
    const pipe = openFullPipe(box.path("stderr"));
    const { name, path } = box.program("sleep");
    const daemon = box.start(["watch", "--target", name, "--cpu-quota", "50"], { stderr: pipe.writer });
    const { pid } = box.spawn([path, "1000"]);
    await until("the workload is governed", async () =>
      (await box.json(["ps"])).some((job: { pid: number }) => job.pid === pid),
    );

    pipe.empty();
    const second = box.spawn([path, "1001"]);
    await until("the second workload is governed", async () => (await box.json(["ps"])).length === 2);
    daemon.kill("SIGTERM");
    expect(await exitOf(daemon)).toBe(0);
    const text = pipe.empty();
    expect(text).toMatch(/^ffrtmp: stderr had no room for \d+ messages before this one\n/);
    expect(text).toContain(`Attaching to PID ${second.pid} `);
  },
);

limitsTest("run returns the exit code of its command although stderr is a full pipe", async () => {
  const { writer } = openFullPipe(sandbox().path("stderr"));
  const wrapper = sandbox().start(["run", "--job-id", "unread", "--", "sh", "-c", "exit 3"], {
    stderr: writer,
  });
  expect(await exitOf(wrapper)).toBe(3);
  const { result } = await sandbox().json(["inspect", "unread"]);
  expect(result).toMatchObject({ exit_code: 3 });
});

/** Returns the exit code of a process; fails when it does not end. */
async function exitOf(child: Bun.Subprocess): Promise<number | null> {
  await until("the process has ended", () => child.exitCode !== null);
  return child.exitCode;
}

/** Makes a named pipe without room. `writer` is a blocking descriptor of it. */
function openFullPipe(path: string): { writer: number; empty(): string } {
  Bun.spawnSync(["mkfifo", path]);
  const own = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  opened.push(own, writer);
  const filler = Buffer.alloc(4096, "x");
  repeat(() => writeSync(own, filler));
  const bytes = Buffer.alloc(4096);
  const empty = () => {
    let text = "";
    repeat(() => {
      text += bytes.toString("utf8", 0, readSync(own, bytes));
    });
    return text;
  };
  return { writer, empty };
}

/** Repeats an action until it would block. */
function repeat(action: () => void): void {
  try {
    for (;;) action();
  } catch (error) {
    if ((error as { code?: string }).code !== "EAGAIN") throw error;
  }
}
