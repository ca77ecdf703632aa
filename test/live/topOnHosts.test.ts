import { beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { OnTerminal } from "../support/onTerminal.ts";
import { eventually, FFRTMP, isRunning, until, useSandbox } from "../support/sandbox.ts";
import { makeStandInSsh, startJobOn } from "../support/standInSsh.ts";

// `top --on`: other machines are state directories here, and ssh is a stand-in that runs the command in one of them.

const sandbox = useSandbox();
let env: Record<string, string>;

beforeEach(() => {
  env = makeStandInSsh(sandbox());
});

const startJob = (host: string, jobId: string, ...flags: string[]) =>
  startJobOn(sandbox(), host, jobId, ...flags);

function topOn(hosts: string, ...words: string[]): OnTerminal {
  return new OnTerminal(sandbox(), [FFRTMP, "top", "--interval", "100ms", "--on", hosts, ...words], env);
}

/** Returns the process of `ffrtmp stats` on a machine. */
function statsOn(host: string): Promise<number> {
  const isItsStats = (pid: string): boolean => {
    const [command, variables] = ["cmdline", "environ"].map((name) =>
      readFileSync(`/proc/${pid}/${name}`, "utf8"),
    );
    const state = `FFRTMP_STATE=${sandbox().path(`machines/${host}`)}\0`;
    return Boolean(command?.includes("ffrtmp\0stats\0") && variables?.includes(state));
  };
  return eventually(`stats runs on ${host}`, () => {
    const found = readdirSync("/proc").find((name) => {
      try {
        return /^\d+$/.test(name) && isItsStats(name);
      } catch {
        // It has ended meanwhile.
        return false;
      }
    });
    return found === undefined ? undefined : Number(found);
  });
}

test("one screen has the jobs of all machines, and a machine that does not answer holds up none", async () => {
  await startJob("edge-1", "news", "--cpu-quota", "50", "--tenant", "acme");
  await startJob("edge-2", "news");
  const top = topOn("edge-1,silent,down,edge-2,old");
  await top.shows(/\nedge-1 +CPU .* 1 job\n/);
  await top.shows(/\nedge-2 +CPU .* 1 job\n/);
  await top.shows(/\ndown +▲ ssh: connect to host down port 22: Connection refused\n/);
  await top.shows(/\nold +▲ its ffrtmp is too old to be followed\n/);
  await top.shows(/[>● ○]+ edge-1 +news .*0\.\d\d\/0\.50/);
  await top.shows(/[>● ○]+ edge-2 +news /);
  await top.shows(/\nsilent +▲ no answer for \d+ s\n/);
  // A filter finds machines, and two jobs with one id are two rows.
  top.type("/edge-2\r");
  await until("only one machine is listed", () => !/edge-1 +news/.test(top.screen.text));
  top.type("\r");
  await top.shows(/ffrtmp top › edge-2: news .*run/);
  await top.shows("ssh edge-2 ffrtmp inspect news");
  top.type("c");
  await top.shows("\nsleep 1000\n");
  const stats = await statsOn("edge-1");
  top.type("q");
  expect(await top.process.exited).toBe(0);
  await until("no command of the screen is left", () => !isRunning(stats));
});

test("a machine that stops answering loses its rows, and gets them back", async () => {
  await startJob("edge-1", "news");
  await startJob("edge-2", "sports");
  const top = topOn("edge-1,edge-2");
  await top.shows(/edge-1 +news /);
  const stats = await statsOn("edge-1");
  process.kill(stats, "SIGSTOP");
  await top.shows(/\nedge-1 +▲ no answer for \d+ s; it had 1 job\n/);
  expect(top.screen.text).not.toMatch(/edge-1 +news /);
  expect(top.screen.text).toMatch(/edge-2 +sports /);
  process.kill(stats, "SIGCONT");
  await top.shows(/edge-1 +news /);
  // A connection that ends is made again.
  process.kill(stats, "SIGKILL");
  await until("there is another connection", async () => (await statsOn("edge-1")) !== stats);
  await top.shows(/edge-1 +news /);
  top.type("\u0003");
  expect(await top.process.exited).toBe(0);
});

test("the first job of a machine appears", async () => {
  const top = topOn("edge-1");
  await top.shows(/\nedge-1 +CPU .* 0 jobs\n/);
  await top.shows("no job is running");
  await startJob("edge-1", "news");
  await top.shows(/edge-1 +news /);
  top.type("q");
  expect(await top.process.exited).toBe(0);
});

test("--once prints one table, and a machine that did not answer makes the exit code 1", async () => {
  await startJob("edge-1", "news");
  mkdirSync(sandbox().path(".config/ffrtmp"), { recursive: true });
  writeFileSync(sandbox().path(".config/ffrtmp/hosts.yaml"), "edge: [edge-1, edge-2]\n");
  const once = (on: string) =>
    sandbox().run(["top", "--once", "--interval", "100ms", "--on", on], { env: { ...env, LC_ALL: "C" } });
  const all = await once("@edge");
  expect(all).toMatchObject({ code: 0, stderr: "" });
  expect(all.stdout).toMatch(/^ffrtmp top \| 2 machines {4}1 job /);
  expect(all.stdout).toMatch(/\nedge-2 +CPU .* 0 jobs\n/);
  expect(all.stdout).toMatch(/\n o edge-1 news .* sleep 1000\n/);
  const some = await once("edge-1,down");
  expect(some.code).toBe(1);
  expect(some.stdout).toMatch(/\ndown +! ssh: connect to host down port 22: Connection refused\n/);
  expect(await once("down,bare")).toMatchObject({
    code: 1,
    stdout: expect.stringContaining("no machine answers"),
  });
  expect((await once("@other")).code).toBe(2);
});

test("what a machine of another release, or a hostile one, prints is shown as far as it has a meaning", async () => {
  const use = {
    kind: "job",
    job_id: "new\u001b[2J; reboot",
    pid: 7,
    cpu_percent: "much",
    memory_bytes: 4096,
    interval_seconds: 1,
    media: { source: "none", speed: null, later: 1 },
    later: {},
  };
  const lines = [{ kind: "later" }, use, { kind: "machine", hostname: "x", cpu_count: 4, job_count: 1 }];
  writeFileSync(
    sandbox().path("machines/strange"),
    lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
  const top = topOn("strange");
  await top.shows(/\nstrange +CPU +– of 4 .* 1 job\n/);
  await top.shows(/strange +new\\u0.* 4\.0K\//);
  // A reader who copies the command runs only that.
  top.type("\r");
  await top.shows(String.raw`ssh strange ffrtmp inspect ''\''new\u001b[2J; reboot'\'''`);
  top.type("\u001b");
  writeFileSync(sandbox().path("machines/strange"), "<html>\n");
  await top.shows(/\nstrange +▲ its output is not that of ffrtmp stats; it had 1 job\n/);
  top.type("q");
  expect(await top.process.exited).toBe(0);
});

const MACHINE = JSON.stringify({ kind: "machine", cpu_count: 4, job_count: 0 });

test("a machine that prints without end takes neither the time nor the memory of the others", async () => {
  await startJob("edge-1", "news");
  const flood = (line: string) => writeFileSync(sandbox().path("machines/flood"), line);
  flood(MACHINE);
  const once = await sandbox().run(["top", "--once", "--interval", "100ms", "--on", "flood,edge-1"], { env });
  expect(once.stdout).toMatch(/\nflood +CPU +– of 4 /);
  expect(once.stdout).toMatch(/ edge-1 news .* sleep 1000\n/);
  // Lines of jobs that no line of the machine ends.
  flood(JSON.stringify({ kind: "job", job_id: "x".repeat(100_000), media: {} }));
  const top = topOn("flood");
  await top.shows(/\nflood +▲ its output is not that of ffrtmp stats\n/);
  const [, peakKib] =
    /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${top.process.pid}/status`, "utf8")) ?? [];
  expect(Number(peakKib)).toBeLessThan(700_000);
  top.type("q");
  expect(await top.process.exited).toBe(0);
});

test.each(["q", "SIGTERM", "SIGHUP"] as const)(
  "%s ends all connections, and gives the terminal back",
  async (end) => {
    writeFileSync(sandbox().path("machines/forgetful"), `${MACHINE}\n`);
    const file = sandbox().path("pid");
    const command = `echo $$ > ${file}; exec ${FFRTMP} top --interval 100ms --on forgetful`;
    // The shell keeps the terminal: its end would end what is left.
    const shell = ["sh", "-c", `sh -c '${command}'; echo exit $?; exec sleep 1000`];
    const top = new OnTerminal(sandbox(), shell, env);
    await top.shows(/\nforgetful +CPU +– of 4 /);
    const ps = await eventually("ps is asked", () => {
      const asked = sandbox().path("machines/ps");
      return existsSync(asked) ? Number(readFileSync(asked, "utf8")) || undefined : undefined;
    });
    sandbox().adopt(ps);
    if (end === "q") top.type("q");
    else process.kill(Number(readFileSync(file, "utf8")), end);
    const code = { q: 0, SIGTERM: 143, SIGHUP: 129 }[end];
    await until("it has ended", () => top.screen.outside.includes(`exit ${code}`));
    expect([top.screen.modes, top.isRaw]).toEqual([new Set([7, 25]), false]);
    await until("the question is given up", () => !isRunning(ps));
  },
);
