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

/** Longer than any test: what is cleared away meanwhile was told of by an event. */
const NO_LOOK = ["--scan-interval", "1h"];

vmTest(
  "a cgroup goes with the last process that a job left behind there, because the kernel tells",
  async () => {
    const { name, path } = sandbox().program("perl");
    const log = await startWatch("--target", name, "--placement", "nested", ...NO_LOOK);
    const script = 'my $p = fork // die; exec "sleep", "1000" unless $p; sleep 1000';
    const pid = startUnit("left", `${path} -e '${script}' & exec sleep 1000`, path);
    await until("it is governed", () => log().includes(`Attaching to PID ${pid} `));
    const [left] = await childrenOf(pid);
    const cgroups = sandbox().cgroups();
    expect(cgroups.length).toBe(1);
    process.kill(pid, "SIGKILL");
    await until("its end is on record", () => log().includes(`left processes running: PID ${left};`));
    expect(sandbox().cgroups()).toEqual(cgroups);
    process.kill(left as number, "SIGKILL");
    await until("the cgroup is gone", () => sandbox().cgroups().length === 0);
    await until("it is on record", () => releasedInLedger(`auto-${name}-${pid}`));
  },
);

vmTest("the same of a job that ffrtmp run has closed, in a scope of its own", async () => {
  await startWatch("--target", "nothing-of-this-name", ...NO_LOOK);
  const { code, stderr } = await sandbox().run([
    ...["run", "--job-id", "parent", "--memory-max", "200M", "--"],
    ...["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"],
  ]);
  expect(code).toBe(0);
  const left = Number(/ended and left processes running: PID (\d+);/.exec(stderr)?.[1]);
  expect(isRunning(left)).toBe(true);
  expect(sandbox().cgroups().length).toBeGreaterThan(0);
  // Until the daemon watches it: what ends before is found by its one look.
  await Bun.sleep(1000);
  expect(releasedInLedger("parent")).toBe(false);
  process.kill(left, "SIGKILL");
  await until("it is on record", () => releasedInLedger("parent"));
  await until("its scope is gone", () => sandbox().cgroups().length === 0);
  const { result, events } = await sandbox().json(["inspect", "parent"]);
  expect(result).toMatchObject({ exit_code: 0, platform_sla_compliant: true });
  expect(events.map(({ kind }: { kind: string }) => kind)).toEqual(["left_behind", "last_gone"]);
});

async function startWatch(...flags: string[]): Promise<() => string> {
  const path = sandbox().path("watch.log");
  sandbox().start(["watch", ...flags], { stderr: openSync(path, "w"), stdout: "ignore" });
  const text = (): string => readFileSync(path, "utf8");
  await until("the daemon listens", () => text().includes("Watching for"));
  return text;
}

/** Starts a script as a service. Returns the pid of its process with this first word. */
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
  await until("it has a child", () => read().length > 0);
  return read();
}

/** Read past ffrtmp, every command of which would look for itself. */
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
