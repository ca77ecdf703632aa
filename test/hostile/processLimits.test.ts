import { expect, test } from "bun:test";
import { openSync, readdirSync, readFileSync } from "node:fs";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksLimits,
  type Sandbox,
  type SpawnOptions,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";

/** More than one descriptor each would leave room for below the limit. */
const TARGETS = 30;
const FEW_DESCRIPTORS = 40;
/** Fewer than the daemon itself and one piece of work need. */
const TOO_FEW_DESCRIPTORS = 16;

const sandbox = useSandbox();

/** Starts ffrtmp with a limit of `ulimit`. */
function startLimited(box: Sandbox, limit: string, args: string[], options: SpawnOptions = {}) {
  return box.spawn(["sh", "-c", `ulimit ${limit}; exec "$0" "$@"`, FFRTMP, ...args], options);
}

async function runLimited(box: Sandbox, limit: string, args: string[]) {
  const child = startLimited(box, limit, args);
  const [stdout, stderr] = await Promise.all(
    [child.stdout, child.stderr].map((stream) => new Response(stream as ReadableStream).text()),
  );
  return { code: await child.exited, stdout, stderr };
}

interface LimitedWatch {
  daemon: Bun.Subprocess;
  log(): string;
  target: string[];
}

async function watchLimited(box: Sandbox, limit: string): Promise<LimitedWatch> {
  const { name, path } = box.program("perl");
  const file = box.path("watch.log");
  const args = ["watch", "--target", name, "--scan-interval", "24h"];
  const daemon = startLimited(box, limit, args, { stdout: "ignore", stderr: openSync(file, "a") });
  const log = () => readFileSync(file, "utf8");
  await until("the daemon watches", async () => (await box.json(["ps", "--daemon"]))?.pid === daemon.pid);
  return { daemon, log, target: [path, "-e", "sleep 1 until -e $ARGV[0]; exit 7", box.path("go")] };
}

const missing = lacksLimits() ?? lacksCommand("perl");

testIf(missing)("watch with few file descriptors governs every target and knows how each ended", async () => {
  const box = sandbox();
  const { daemon, log, target } = await watchLimited(box, `-n ${FEW_DESCRIPTORS}`);
  const pids = Array.from({ length: TARGETS }, () => box.spawn(target).pid);
  await until("all targets are governed", () =>
    pids.every((pid) => log().includes(`Attaching to PID ${pid} `)),
  );
  expect(readdirSync(`/proc/${daemon.pid}/fd`).length).toBeLessThan(FEW_DESCRIPTORS);
  await Bun.write(box.path("go"), "");
  await until("all ends are recorded", () => (log().match(/ JOB /g) ?? []).length === TARGETS);
  for (const pid of pids) expect(log()).toContain(`exit=7 | pid=${pid}`);
  expect(await box.json(["ps", "--daemon"])).toMatchObject({ state: "running", pid: daemon.pid });
  expect(log()).not.toContain("internal error");
});

testIf(missing ?? lacksCommand("prlimit"))(
  "watch postpones its work while there are too few file descriptors, reports that once, and then does it",
  async () => {
    const box = sandbox();
    const { daemon, log, target } = await watchLimited(box, "-n 1024");
    const limitTo = async (soft: number) => {
      const { exited } = box.spawn(["prlimit", `--pid=${daemon.pid}`, `--nofile=${soft}:`]);
      expect(await exited).toBe(0);
    };
    await limitTo(TOO_FEW_DESCRIPTORS);
    const { pid } = box.spawn(target);
    await until("work is postponed", () => log().includes("Too few file descriptors (EMFILE)"));
    expect(log()).not.toContain("Attaching to PID");

    await limitTo(1024);
    await until("the target is governed", () => log().includes(`Attaching to PID ${pid} `));
    await Bun.write(box.path("go"), "");
    await until("the end is recorded", () => log().includes(`exit=7 | pid=${pid}`));
    daemon.kill("SIGTERM");
    expect(await daemon.exited).toBe(0);
    const counts = await box.json(["ps", "--daemon"]);
    expect(counts.work_postponed).toBeGreaterThan(0);
    expect(log().match(/Too few file descriptors/g)).toHaveLength(1);
  },
);

// The runtime itself aborts below the smallest size, before any code of ffrtmp runs: docs/operating.md.
test.each(["-v 600000", "-v 1024000", "-v 2048000"])(
  "run says why it cannot start with ulimit %s, and starts nothing",
  async (limit) => {
    const box = sandbox();
    const { code, stdout, stderr } = await runLimited(box, limit, ["run", "--", "/bin/echo", "started"]);
    expect({ code, stdout }).toEqual({ code: 125, stdout: "" });
    expect(stderr).toMatch(/^ffrtmp: cannot start: there is no address space .*\n {2}try: .*ulimit -v/);
  },
);

test.each([
  ["a file size of 0", "-f 0"],
  ["no locked memory", "-l 0"],
  ["a stack of 512 KB", "-s 512"],
  ["an address space of 4 GB", "-v 4194304"],
])("run starts its workload and passes its exit code on with a limit: %s", async (_name, limit) => {
  const box = sandbox();
  const { code, stdout } = await runLimited(box, limit, [
    "run",
    "--",
    "/bin/sh",
    "-c",
    "echo started; exit 7",
  ]);
  expect({ code, stdout }).toEqual({ code: 7, stdout: "started\n" });
});

test("a workload survives the wrapper that its limit on CPU time ends, and so does its record", async () => {
  const box = sandbox();
  const { wrapper, pid } = await box.startJob("outlives", [], ["sleep", "600"]);
  wrapper.kill("SIGXCPU");
  await wrapper.exited;
  expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
  const job = await eventually("the job is listed", async () =>
    (await box.json(["ps"])).find((each: { pid: number }) => each.pid === pid),
  );
  expect(job).toMatchObject({ job_id: "outlives" });
});
