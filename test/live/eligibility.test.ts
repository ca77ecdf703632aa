import { expect } from "bun:test";
import { chmodSync, copyFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { realHost } from "../../src/linux/host.ts";
import { readStat } from "../../src/linux/proc/stat.ts";
import { listThreads } from "../../src/linux/proc/table.ts";
import { expectMessage, PRIVATE_MOUNTS, runScript } from "../support/badInput.ts";
import { parseDryRun } from "../support/dryRun.ts";
import { lacksKernelThreads, startZombie } from "../support/processes.ts";
import {
  FFRTMP,
  isRunning,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  type Sandbox,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

const sandbox = useSandbox();
const host = realHost();

/** A process that no command may govern, and the reason that every command gives. */
interface Subject {
  pid: number;
  reason: RegExp;
}

interface Explained {
  pid: number;
  govern: boolean;
  because: string | null;
}

testIf(lacksLimits())(
  "attach, policy explain, the dry run and watch agree on which processes may be governed",
  async () => {
    const box = sandbox();
    const own = copyAs(box, FFRTMP, "own");
    const older = copyAs(box, FFRTMP, "older");
    const shell = copyAs(box, "/bin/sh", "shell");
    const bun = copyAs(box, process.execPath, "bun");
    const sleep = box.program("sleep");
    const quiet = { stdout: "ignore", stderr: "ignore" } as const;

    const { child: zombie } = await startZombie((cmd) => box.spawn(cmd), box.path("zombie"), shell);
    const governed = box.spawn([sleep.path, "1000"]);
    const observer = box.spawn([own, "attach", "--pid", `${governed.pid}`, "--job-id", "governed"], quiet);
    await box.pidOf("governed");
    // The ledger alone shows that this one is an ffrtmp: it runs another executable, as after an upgrade.
    const launcher = box.spawn([older, "run", "--job-id", "launched", "--", sleep.path, "1000"], quiet);
    const launched = await box.pidOf("launched");
    box.adopt(launched);
    const threaded = box.spawn([bun, "-e", "setTimeout(() => {}, 1e6)"], quiet);
    await until("it has threads", () => listThreads(host, threaded.pid).length > 1);
    const thread = listThreads(host, threaded.pid).find((tid) => tid !== threaded.pid) as number;
    const starting = box.spawn([older, "run", "--job-id", "starting", "--", sleep.path, "1000"], quiet);
    const started = await box.pidOf("starting");
    box.adopt(started);
    box.sql(
      "UPDATE jobs SET state = 'starting', pid = NULL, start_ticks = NULL, started_ms = NULL WHERE job_id = 'starting'",
    );
    const ordinary = box.spawn([sleep.path, "1000"]);

    const subjects: Subject[] = [
      { pid: 1, reason: /^it is init, and a limit on it would apply to the whole machine$/ },
      ...(lacksKernelThreads() === undefined ? [{ pid: 2, reason: /^it is a kernel thread$/ }] : []),
      { pid: zombie, reason: /^it has ended, and its parent \d+ has not collected it yet$/ },
      { pid: observer.pid, reason: /^it is an ffrtmp process$/ },
      { pid: launcher.pid, reason: /^it is an ffrtmp process$/ },
      { pid: starting.pid, reason: /^it is an ffrtmp process$/ },
      { pid: governed.pid, reason: /^it is governed already, as job governed$/ },
      { pid: launched, reason: /^it is governed already, as job launched$/ },
      { pid: started, reason: /^it is being started by ffrtmp run, as job starting$/ },
      { pid: thread, reason: /^it is a thread, not a process$/ },
    ];
    const [first, second] = [1, 2]
      .map((pid) => readStat(host, pid))
      .map((stat) => (stat === "gone" ? "-" : stat.comm));
    const names = [own, older, shell, sleep.path].map((path) => basename(path));
    const policy = writePolicy(box, "policy.yaml", [...names, first as string, second as string]);
    // A thread goes by the names of its process.
    const policyOfThread = writePolicy(box, "thread.yaml", [basename(bun)]);

    const all: Explained[] = JSON.parse(
      await outputOf(box, [own, "policy", "explain", "--all", "--json", "--watch-config", policy]),
    );
    for (const { pid, reason } of subjects) {
      const config = pid === thread ? policyOfThread : policy;
      const explain = [own, "policy", "explain", "--json", "--pid", `${pid}`, "--watch-config", config];
      const { govern, because }: Explained = JSON.parse(await outputOf(box, explain));
      expect({ pid, govern, because }).toEqual({
        pid,
        govern: false,
        because: expect.stringMatching(reason),
      });
    }
    // procfs does not list threads, and those of the kernel are left out.
    const isKernelThread = (pid: number) => pid === 2 && lacksKernelThreads() === undefined;
    expect(all.filter(({ pid }) => isKernelThread(pid))).toEqual([]);
    const listed = subjects.filter(({ pid }) => pid !== thread && !isKernelThread(pid));
    expect(listed.map(({ pid }) => all.find((each) => each.pid === pid))).toMatchObject(
      listed.map(({ pid, reason }) => ({ pid, govern: false, because: expect.stringMatching(reason) })),
    );
    const itself = ["sh", "-c", `exec ${own} policy explain --json --pid $$ --watch-config ${policy}`];
    expect(JSON.parse(await outputOf(box, itself))).toMatchObject({
      govern: false,
      because: "it is this ffrtmp process",
    });
    expect(all.filter(({ govern }) => govern).map(({ pid }) => pid)).toEqual([ordinary.pid]);

    const dryRun = await outputOf(box, [own, "watch", "--dry-run", "--watch-config", policy]);
    expect(parseDryRun(dryRun).decision).toBe(`would govern PID ${ordinary.pid} (${sleep.name}) by rule all`);

    // Only now, because these two would govern whatever the check lets through.
    for (const { pid, reason } of subjects) {
      const { code, stderr } = await endOf(box, [own, "attach", "--pid", `${pid}`]);
      expect({ pid, code }).toEqual({ pid, code: 2 });
      const [, process, why] = /^ffrtmp: cannot govern process (\d+) \(.*?\): (.*)$/m.exec(stderr) ?? [];
      // Only attach could take the job over, and says why it does not.
      const [withoutObserver] = (why ?? "").split(", observed by PID ");
      expect({ process, why: withoutObserver }).toEqual({
        process: `${pid}`,
        why: expect.stringMatching(reason),
      });
    }
    const { stderr: log } = await endOf(box, [own, "watch", "--once", "--watch-config", policy]);
    expect(log.match(/Attaching to PID \d+/g)).toEqual([`Attaching to PID ${ordinary.pid}`]);

    // `watch --once` leaves its jobs without an observer.
    const again = box.spawn([own, "attach", "--pid", `${ordinary.pid}`]);
    const jobId = `auto-${sleep.name}-${ordinary.pid}`;
    await until("attach observes the job", async () => {
      expect(again.exitCode).toBeNull();
      return (await box.json(["inspect", jobId])).observer_pid === again.pid;
    });
    for (const { pid } of [governed, ordinary, threaded]) expect(isRunning(pid)).toBeTrue();
  },
);

/** hidepid=1 is a property of the mount since Linux 5.8, and a mount namespace has it to itself. */
testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "a process that procfs hides is refused with the reason",
  async () => {
    const box = sandbox();
    chmodSync(box.directory, 0o777);
    const { pid } = box.spawn(["sleep", "1000"]);
    const asNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    const script = `mount -t proc -o hidepid=1 proc /proc && exec ${asNobody} "$F" attach --pid ${pid}`;
    const { code, stderr } = await runScript(box, script, {}, PRIVATE_MOUNTS);
    expect(code).toBe(2);
    expectMessage(stderr, [
      new RegExp(`cannot govern process ${pid}: procfs hides it from this user`),
      /try: run ffrtmp as root, or as the user of the process/,
    ]);
  },
);

function copyAs(box: Sandbox, original: string, word: string): string {
  const path = box.path(`${word}-${box.tag}`);
  copyFileSync(original, path);
  return path;
}

/** A policy that governs every process of these names, with the path of its file. */
function writePolicy(box: Sandbox, file: string, names: string[]): string {
  writeFileSync(box.path(file), `rules: [{name: all, match: {command: ${JSON.stringify(names)}}}]\n`);
  return box.path(file);
}

async function endOf(box: Sandbox, cmd: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = box.spawn(cmd);
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => new Response(stream as ReadableStream).text()),
  );
  return { code: await child.exited, stdout: stdout ?? "", stderr: stderr ?? "" };
}

async function outputOf(box: Sandbox, cmd: string[]): Promise<string> {
  const { code, stdout, stderr } = await endOf(box, cmd);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}
