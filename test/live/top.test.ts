import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksLimits,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const limitsTest = testIf(lacksLimits());
const terminalTest = testIf(lacksLimits() ?? lacksCommand("script"));

const BUSY = ["sh", "-c", "while :; do :; done"];
const [ENTER, LEAVE] = ["\u001b[?1049h\u001b[?7l\u001b[?25l", "\u001b[?25h\u001b[?7h\u001b[?1049l"];

limitsTest("in a pipe top prints one table, with the running jobs and the latest ends", async () => {
  await sandbox().startJob("busy", ["--cpu-quota", "20", "--memory-max", "64M"], BUSY);
  await sandbox().run(["run", "--job-id", "failed", "--", "sh", "-c", "exit 3"]);
  const { code, stdout, stderr } = await sandbox().run(["top"], { env: { LC_ALL: "C" } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const [header, , heading, busy] = stdout.split("\n");
  expect(header).toMatch(/^ffrtmp top \| \S+ {3}1 job/);
  expect(heading).toMatch(
    /^ {2}JOB +CPU \/ QUOTA +2 min +THROTTLED +MEMORY \/ LIMIT +READ +WRITTEN +COMMAND$/,
  );
  expect(busy).toMatch(/^[*!] busy +0\.\d\d \/ 0\.20 .* \/ 64\.0 MiB .* sh -c while :; do :; done$/);
  expect(stdout).toMatch(/\nended +\S+ ago {2}failed +failed +exit 3 +compliant\n$/);
});

/** Runs top on a terminal of 90x20, and returns what the terminal got once it has ended. */
async function onTerminal(end: (send: (text: string) => void) => Promise<void>): Promise<string> {
  const [before, after, output] = ["before", "after", "screen"].map((name) => sandbox().path(name)) as [
    string,
    string,
    string,
  ];
  const command = [
    "trap : INT",
    "stty cols 90 rows 20",
    `stty -a >${before}`,
    `LC_ALL=C.UTF-8 "${FFRTMP}" top --interval 100ms`,
    "echo code $?",
    `stty -a >${after}`,
  ].join("; ");
  writeFileSync(output, "");
  const terminal = sandbox().spawn(["script", "-qefc", command, output], { stdin: "pipe", stdout: "ignore" });
  const stdin = terminal.stdin as { write(text: string): void; flush(): void };
  const screen = () => readFileSync(output, "utf8");
  await until("top shows jobs", () => screen().includes("transcode-001"));
  await end((text) => {
    stdin.write(text);
    stdin.flush();
  });
  await eventually("top has ended", () => /code (\d+)/.exec(screen())?.[1]);
  await terminal.exited;
  expect(readFileSync(after, "utf8")).toBe(readFileSync(before, "utf8"));
  return screen();
}

terminalTest(
  "top takes the whole terminal, and gives it back as it was after q, Ctrl-C and SIGTERM",
  async () => {
    const { pid } = await sandbox().startJob("transcode-001", ["--cpu-quota", "20"], BUSY);
    const byKey = await onTerminal(async (send) => {
      send("\r");
      await until("the job is shown", () =>
        readFileSync(sandbox().path("screen"), "utf8").includes("› transcode-001"),
      );
      send("q");
    });
    expect(byKey).toContain("code 0");
    expect(byKey).toContain("█");
    expect(await onTerminal(async (send) => send("\u0003"))).toContain("code 0");
    const bySignal = await onTerminal(async () => {
      const { stdout } = Bun.spawnSync(["ps", "-eo", "pid=,args="]);
      const line = stdout
        .toString()
        .split("\n")
        .find((each) => each.includes(`${FFRTMP} top --interval`) && !/script|sh -c/.test(each));
      process.kill(Number(line?.trim().split(" ")[0]), "SIGTERM");
    });
    expect(bySignal).toContain("code 143");
    for (const screen of [byKey, bySignal]) {
      expect(screen).toContain(ENTER);
      expect(screen.lastIndexOf(LEAVE)).toBeGreaterThan(screen.lastIndexOf(ENTER));
    }
    // The job does not notice it.
    expect(process.kill(pid, 0)).toBe(true);
  },
);
