import { expect } from "bun:test";
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { OnTerminal, TERMINAL_ENVIRONMENT, TERMINAL_SIZE } from "../support/onTerminal.ts";
import { FFRTMP, lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const shellTest = testIf(lacksLimits() ?? lacksCommand("bash"));
const scriptTest = testIf(lacksLimits() ?? lacksCommand("script"));
const ffmpegTest = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));

const BUSY = ["sh", "-c", "while :; do :; done"];

function startTop(...args: string[]): OnTerminal {
  return new OnTerminal(sandbox(), [FFRTMP, "top", "--interval", "100ms", ...args]);
}

limitsTest("in a pipe top prints one table, with the running jobs and the latest ends", async () => {
  await sandbox().startJob("busy", ["--cpu-quota", "20", "--memory-max", "64M"], BUSY);
  await sandbox().run(["run", "--job-id", "failed", "--", "sh", "-c", "exit 3"]);
  const { code, stdout, stderr } = await sandbox().run(["top", "--interval", "100ms"], {
    env: { LC_ALL: "C" },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [header, , , heading, busy] = stdout.split("\n");
  expect(header).toMatch(/^ffrtmp top \| \S+ {4}1 job {3}0\.1 s \|/);
  expect(heading).toMatch(
    /^ {3}JOB +SPEED +CPU\/QUOTA 2 min +THR MEM\/LIMIT +IN +OUT +READ WRITE +LEFT COMMAND$/,
  );
  expect(busy).toMatch(/^ [*!] busy +- +0\.\d\d\/0\.20 .*K\/ 64M .* sh -c while :; do :; done$/);
  expect(stdout).toMatch(/\n ended +\S+ failed +\S+ exit 3, parent +compliant\n$/);
  expect(stdout).toMatch(/^[\n -~]*$/);
});

limitsTest("a terminal that understands no movement of the cursor gets one table", async () => {
  await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
  const top = new OnTerminal(sandbox(), [FFRTMP, "top", "--interval", "100ms"], { TERM: "dumb" });
  expect(await top.process.exited).toBe(0);
  await until("the table is printed", () => top.screen.outside.includes("transcode-001"));
  expect(top.screen.modes).toEqual(new Set([7, 25]));
});

limitsTest(
  "top takes the whole terminal, and gives it back as it was after q, Ctrl-C and signals",
  async () => {
    const { pid } = await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
    const ends: [code: number, end: (top: OnTerminal) => void][] = [
      [0, (top) => top.type("q")],
      [0, (top) => top.type("\u0003")],
      [0, (top) => top.process.kill("SIGINT")],
      [143, (top) => top.process.kill("SIGTERM")],
      [129, (top) => top.process.kill("SIGHUP")],
    ];
    for (const [code, end] of ends) {
      const top = startTop();
      await top.shows("transcode-001");
      expect({ isRaw: top.isRaw, modes: [...top.screen.modes] }).toEqual({ isRaw: true, modes: [1049] });
      end(top);
      expect(await top.process.exited).toBe(code);
      await until("the terminal is as before", () => !top.screen.isAlternate && !top.isRaw);
      expect([...top.screen.modes].sort()).toEqual([25, 7]);
      expect(top.screen.outside).toBe("");
    }
    // The job does not notice it.
    expect(process.kill(pid, 0)).toBe(true);
  },
);

limitsTest(
  "one job has its charts, its command without secrets and its log, and a new size is drawn at once",
  async () => {
    const command = [
      "sh",
      "-c",
      "printf 'frame=1\\rframe=\\033[2J2\\n'; sleep 300",
      "rtmp://live.example/app/s3cr3tk3yabcdef012345",
    ];
    const { stdout } = await sandbox().run([
      "run",
      "--detach",
      "--job-id",
      "noisy",
      "--cpu-quota",
      "20",
      "--",
      ...command,
    ]);
    expect(stdout).toBe("noisy\n");
    sandbox().adopt(await sandbox().pidOf("noisy"));
    const top = startTop();
    await top.shows("noisy");
    top.type("\r");
    await top.shows(/ffrtmp top › noisy .*pid \d+ · run/);
    await top.shows(/\nLIMITS +cpu 20 %, all applied\n/);
    await top.shows(/started by ffrtmp run, PID \d+/);
    top.type("c");
    await top.shows("rtmp://live.example/app/***");
    top.type("l");
    await top.shows(/\nframe=\\u001b\[2J2\n/);
    top.type("\u001b[D");
    await top.shows("LIMITS");
    top.type("?");
    await top.shows("CPU/QUOTA    cores in use");
    top.resize(60, 10);
    await top.shows(/lines 1 to 6 of \d+/);
    top.resize(39, 10);
    await top.shows("39x10 is too small for ffrtmp top");
    top.resize(100, 30);
    await top.shows("READ, WRITE  disks, in bytes per second");
    top.type("\u001b");
    await top.shows("LIMITS");
    top.type("q");
    expect(await top.process.exited).toBe(0);
  },
);

shellTest("Ctrl-Z gives the terminal to the shell, and fg brings the whole screen back", async () => {
  await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
  const shell = new OnTerminal(sandbox(), ["bash", "--norc", "--noprofile", "--noediting", "-i"], {
    PS1: "$ ",
  });
  const shellSays = (text: string) =>
    until(`the shell says ${text}`, () => shell.screen.outside.includes(text));
  await shellSays("$ ");
  shell.type(`"${FFRTMP}" top --interval 100ms\r`);
  await shell.shows("transcode-001");
  shell.type("\u001a");
  await shellSays("Stopped");
  expect({ isRaw: shell.isRaw, modes: [...shell.screen.modes].sort() }).toEqual({
    isRaw: false,
    modes: [25, 7],
  });
  shell.screen.resize(TERMINAL_SIZE);
  shell.type("fg\r");
  await shell.shows("transcode-001");
  await shell.shows("ffrtmp top");
  expect(shell.isRaw).toBe(true);
  shell.type("q");
  await until("the terminal is as before", () => !shell.screen.isAlternate);
  shell.type("echo code=$?\r");
  await shellSays("code=0");
  shell.type("exit\r");
  await shell.process.exited;
});

limitsTest("a failure of the program itself gives the terminal back before it is reported", async () => {
  await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
  const [main, preload] = ["src/main.ts", "test/support/programs/throwInCallback.ts"].map((path) =>
    resolve(import.meta.dir, "../..", path),
  ) as [string, string];
  for (const kind of ["exception", "unhandled rejection"]) {
    const trigger = sandbox().path(kind);
    const command = [process.execPath, "--preload", preload, main, "top"];
    const top = new OnTerminal(sandbox(), command, { FAULT_WHEN: trigger, FAULT_IS: kind });
    await top.shows("transcode-001");
    writeFileSync(trigger, "");
    expect(await top.process.exited).toBe(70);
    await until("the failure is reported", () => top.screen.outside.includes("ffrtmp doctor"));
    expect(top.screen.outside).toStartWith("ffrtmp: internal error: Error: a fault made for a test");
    expect({ isRaw: top.isRaw, modes: [...top.screen.modes].sort() }).toEqual({
      isRaw: false,
      modes: [25, 7],
    });
  }
});

scriptTest("a terminal that stops reading costs no memory, and does not keep top from ending", async () => {
  await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
  const output = sandbox().path("screen");
  const command = `stty cols 120 rows 40; echo $$ >"${sandbox().path("pid")}"; exec "${FFRTMP}" top --interval 100ms`;
  const terminal = sandbox().spawn(["script", "-qefc", command, output], {
    stdin: "pipe",
    stdout: "ignore",
    env: TERMINAL_ENVIRONMENT,
  });
  const screen = () => (existsSync(output) ? readFileSync(output, "utf8") : "");
  await until("top shows jobs", () => screen().includes("transcode-001"));
  const pid = Number(readFileSync(sandbox().path("pid"), "utf8"));
  sandbox().adopt(pid);
  terminal.kill("SIGSTOP");
  const residentKb = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  const writtenBytes = () => Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]);
  const tty = readlinkSync(`/proc/${pid}/fd/1`);
  // Each new size is a whole screen, until the terminal has no room.
  const resize = (times: number) => {
    for (let index = 0; index < times; index++)
      Bun.spawnSync(["stty", "-F", tty, "cols", String(100 + (index % 20))]);
  };
  // The threads of the runtime wake each other by writes of some bytes.
  const ONE_SCREEN_BYTES = 1500;
  let still = 0;
  await until("the terminal has no room", async () => {
    const before = writtenBytes();
    resize(20);
    // Some intervals of measurement, each of which makes a screen.
    await Bun.sleep(300);
    still = writtenBytes() - before < ONE_SCREEN_BYTES ? still + 1 : 0;
    return still >= 3;
  });
  const [residentBefore, writtenBefore] = [residentKb(), writtenBytes()];
  resize(300);
  expect(writtenBytes() - writtenBefore).toBeLessThan(20 * ONE_SCREEN_BYTES);
  expect(residentKb() - residentBefore).toBeLessThan(40_000);
  process.kill(pid, "SIGTERM");
  await until(
    "top has ended",
    () => !existsSync(`/proc/${pid}/exe`) || readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z "),
  );
  terminal.kill("SIGCONT");
  await terminal.exited;
});

ffmpegTest(
  "the daemon's measurements are shown, and top measures by itself while the daemon is gone",
  async () => {
    const first = await startDaemon(sandbox());
    const receiver = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
    const source = ["-re", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-c:v", "mpeg4", "-f", "mpegts"];
    const command = ["ffmpeg", "-v", "error", "-stats", ...source, `tcp://127.0.0.1:${receiver.port}`];
    await sandbox().run(["run", "--detach", "--job-id", "live-1", "--cpu-quota", "100", "--", ...command]);
    sandbox().adopt(await sandbox().pidOf("live-1"));
    const top = new OnTerminal(sandbox(), [FFRTMP, "top", "--interval", "500ms"]);
    const byDaemon = / watch · 0\.5 s · /;
    const row = /[▲●] live-1 +[01]\.\d\d× +0\.\d\d\/1\.00 .* \d+kb +live/;
    await top.shows(byDaemon);
    await top.shows(row);
    first.process.kill("SIGKILL");
    await top.shows("ffrtmp watch has ended: measured here");
    expect(top.screen.text).not.toMatch(byDaemon);
    await top.shows(row);
    const second = await startDaemon(sandbox());
    await top.shows(byDaemon);
    expect(top.screen.text).not.toContain("measured here");
    top.type("q");
    expect(await top.process.exited).toBe(0);
    second.process.kill("SIGTERM");
    await second.process.exited;
    receiver.stop(true);
  },
);
