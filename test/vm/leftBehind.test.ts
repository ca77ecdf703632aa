import { Database } from "bun:sqlite";
import { afterEach, expect } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { isRunning, until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(async () => {
  while (clean.length > 0) await clean.pop()?.();
});

/** Longer than any test, so that only an event of the kernel can lead to the removal. */
const NO_LOOK = ["--scan-interval", "1h"];

vmTest("watch removes a job's cgroup as soon as the last process in it has ended", async () => {
  const { name, path } = sandbox().program("perl");
  const log = await startWatch("--target", name, "--placement", "nested", ...NO_LOOK);
  const script = 'my $p = fork // die; exec "sleep", "1000" unless $p; sleep 1000';
  const pid = startUnit("left", `${path} -e '${script}' & exec sleep 1000`, path);
  await until("the process is governed", () => log().includes(`Attaching to PID ${pid} `));
  const [left] = await childrenOf(pid);
  const cgroups = sandbox().cgroups();
  expect(cgroups.length).toBe(1);
  process.kill(pid, "SIGKILL");
  await until("its end is recorded", () => log().includes(`left processes running: PID ${left};`));
  expect(sandbox().cgroups()).toEqual(cgroups);
  process.kill(left as number, "SIGKILL");
  await until("the cgroup is gone", () => sandbox().cgroups().length === 0);
  await until("the removal is recorded", () => releasedInLedger(`auto-${name}-${pid}`));
});

vmTest(
  "watch removes the scope of a job of ffrtmp run as soon as the last process in it has ended",
  async () => {
    await startWatch("--target", "nothing-of-this-name", ...NO_LOOK);
    const { code, stderr } = await sandbox().run([
      ...["run", "--job-id", "parent", "--memory-max", "200M", "--"],
      ...["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"],
    ]);
    expect(code).toBe(0);
    const left = Number(/ended and left processes running: PID (\d+);/.exec(stderr)?.[1]);
    expect(isRunning(left)).toBe(true);
    expect(sandbox().cgroups().length).toBeGreaterThan(0);
    // Waits until the daemon watches the scope. Its first scan finds a process that has ended before.
    await Bun.sleep(1000);
    expect(releasedInLedger("parent")).toBe(false);
    process.kill(left, "SIGKILL");
    await until("the removal is recorded", () => releasedInLedger("parent"));
    await until("the scope is gone", () => sandbox().cgroups().length === 0);
    const { result, events } = await sandbox().json(["inspect", "parent"]);
    expect(result).toMatchObject({ exit_code: 0, platform_sla_compliant: true });
    expect(events.map(({ kind }: { kind: string }) => kind)).toEqual(["left_behind", "last_gone"]);
  },
);

async function startWatch(...flags: string[]): Promise<() => string> {
  const path = sandbox().path("watch.log");
  sandbox().start(["watch", ...flags], { stderr: openSync(path, "w"), stdout: "ignore" });
  const text = (): string => readFileSync(path, "utf8");
  await until("the daemon listens", () => text().includes("Watching for"));
  return text;
}

/** Starts a script as a service. Returns the pid of its process whose first argument is `word`. */
function startUnit(name: string, script: string, word: string): number {
  const unit = `ffrtmp-${name}-${process.pid}.service`;
  const child = Bun.spawnSync(["systemd-run", "--quiet", "--collect", "--unit", unit, "sh", "-c", script]);
  if (child.exitCode !== 0) throw new Error(child.stderr.toString());
  clean.push(() => Bun.spawnSync(["systemctl", "stop", unit]));
  for (;;) {
    const pid = readFileSync(`/sys/fs/cgroup/system.slice/${unit}/cgroup.procs`, "utf8")
      .split("\n")
      .filter(Boolean)
      .find((each) => firstWord(each) === word);
    if (pid !== undefined) return Number(pid);
    Bun.sleepSync(20);
  }
}

function firstWord(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0")[0];
  } catch {
    return undefined;
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const read = (): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  await until("the process has a child", () => read().length > 0);
  return read();
}

/** Reads the ledger without ffrtmp, whose commands would all check the job themselves. */
function releasedInLedger(jobId: string): boolean {
  const db = new Database(`${sandbox().state}/ledger.db`, { readonly: true });
  try {
    const row = db
      .query<{ released: number }, [string]>("SELECT released FROM jobs WHERE job_id = ?")
      .get(jobId);
    return row?.released === 1;
  } finally {
    db.close();
  }
}
