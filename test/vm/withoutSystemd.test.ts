import { expect } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
} from "node:fs";
import { basename, dirname } from "node:path";
import { addressOf, syscall } from "../../src/sys/libc.ts";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import {
  type PlainCgroups,
  type PlainOptions,
  runPlain,
  startPlain,
  usePlainCgroups,
} from "../support/vm/plainCgroups.ts";

const MIB = 1 << 20;
const USER = 1000;
const sandbox = useSandbox();
const plain = usePlainCgroups();

const ALL =
  "--cpu-quota 50 --cpu-weight 50 --memory-limit 64 --memory-max 128M --io-max '/ rbps=8M' --pids-max 32";
const ALL_APPLIED = ["cpu.max", "cpu.weight", "memory.high", "memory.max", "io.max", "pids.max"].map(
  (limit) => `${limit} applied`,
);

/** Starts a job in the caller's cgroup and returns when it runs. The caller waits for it. */
async function startJob(cgroups: PlainCgroups, jobId: string, flags: string, command = "sleep 1000") {
  const script = `exec $ffrtmp run --job-id ${jobId} ${flags} -- ${command}`;
  const wrapper = startPlain(sandbox(), cgroups.caller, script);
  const pid = await sandbox().pidOf(jobId);
  sandbox().adopt(pid);
  return { wrapper, pid, directory: directoryOf(pid) };
}

function directoryOf(pid: number): string {
  return `/sys/fs/cgroup${readFileSync(`/proc/${pid}/cgroup`, "utf8").trim().slice("0::".length)}`;
}

interface LimitText {
  limit: string;
  outcome: string;
  because?: string;
}

async function limitsOf(jobId: string): Promise<LimitText[]> {
  return (await sandbox().json(["inspect", jobId])).limits;
}

async function outcomesOf(jobId: string): Promise<string[]> {
  return (await limitsOf(jobId)).map(({ limit, outcome }) => `${limit} ${outcome}`);
}

/** The files of the caller's cgroup and of the one above that a launch could change. */
function filesOf({ parent, caller, read }: PlainCgroups): Record<string, string> {
  const files = [parent, caller].flatMap((path) => [`${path}/cgroup.subtree_control`, `${path}/cgroup.type`]);
  return Object.fromEntries(files.map((file) => [file, read(file)]));
}

vmTest(
  "without systemd a job beside its caller's cgroup has all limits, and the caller's is unchanged",
  async () => {
    const cgroups = plain();
    const before = filesOf(cgroups);
    const { wrapper, pid, directory } = await startJob(cgroups, "beside", ALL);
    expect(dirname(directory)).toBe(cgroups.parent);
    expect(basename(directory)).toMatch(/^ffrtmp-[0-9a-f]{6}-beside$/);
    expect(await outcomesOf("beside")).toEqual(ALL_APPLIED);
    expect(cgroups.read(`${directory}/memory.max`)).toBe(String(128 * MIB));
    expect(cgroups.read(`${directory}/io.max`)).toContain("rbps=8388608");
    expect(filesOf(cgroups)).toEqual(before);
    process.kill(pid, "SIGTERM");
    expect(await wrapper.exited).toBe(128 + 15);
    expect((await sandbox().resultOf("beside")).usage.memory_peak_bytes).toBeGreaterThan(0);
    expect(filesOf(cgroups)).toEqual(before);
    expect(cgroups.children()).toEqual(["caller"]);
  },
);

vmTest("without systemd a launch writes no cgroup.subtree_control, with limits or without", async () => {
  const cgroups = plain();
  const trace = sandbox().path("trace");
  const traced = (flags: string): string =>
    `strace -f -qq -e trace=openat -o ${trace} $ffrtmp run ${flags} -- true && cat ${trace} >>${trace}.all`;
  const { code, stderr } = await runPlain(sandbox(), cgroups.caller, `${traced(ALL)}; ${traced("")}`);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const opened = readFileSync(`${trace}.all`, "utf8").split("\n");
  expect(opened.filter((line) => line.includes("memory.max") && line.includes("O_WRONLY"))).toHaveLength(1);
  expect(opened.filter((line) => /subtree_control.*O_(WRONLY|RDWR)/.test(line))).toEqual([]);
});

vmTest("the limits of the caller's cgroup stay in force beside it, whatever is asked for later", async () => {
  const cgroups = plain();
  const { caller, read, write } = cgroups;
  const carried = {
    "cpu.max": "40000 100000",
    "cpu.weight": "30",
    "memory.high": String(150 * MIB),
    "memory.max": String(200 * MIB),
    "memory.swap.max": String(16 * MIB),
    "pids.max": "60",
  };
  for (const [file, text] of Object.entries(carried)) write(`${caller}/${file}`, text);
  const before = filesOf(cgroups);
  const { wrapper, pid, directory } = await startJob(
    cgroups,
    "tight",
    "--cpu-quota 100 --cpu-weight 200 --memory-limit 500 --memory-max 1G --pids-max 500",
  );
  const carrier = dirname(directory);
  expect(dirname(carrier)).toBe(cgroups.parent);
  for (const [file, text] of Object.entries(carried)) expect(read(`${carrier}/${file}`)).toBe(text);
  expect((await sandbox().json(["inspect", "tight"])).carried_limits).toEqual(carried);
  const limits = await limitsOf("tight");
  expect(limits.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual([
    "cpu.max applied",
    "cpu.weight applied",
    "memory.high applied",
    "memory.max applied",
    "pids.max applied",
  ]);
  for (const { because } of limits)
    expect(because).toStartWith(`not written: ${carrier} already limits it to `);
  const { stdout } = await sandbox().run([
    "limits",
    "set",
    "tight",
    "--memory-max",
    "4G",
    "--pids-max",
    "20",
  ]);
  expect(stdout).toContain("20");
  expect(read(`${directory}/pids.max`)).toBe("20");
  expect(read(`${carrier}/memory.max`)).toBe(carried["memory.max"]);
  expect(directoryOf(pid)).toBe(directory);
  process.kill(pid, "SIGTERM");
  await wrapper.exited;
  expect(filesOf(cgroups)).toEqual(before);
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest("the kernel enforces the caller's memory limit on a job that asked for more", async () => {
  const cgroups = plain();
  cgroups.write(`${cgroups.caller}/memory.max`, String(100 * MIB));
  cgroups.write(`${cgroups.caller}/memory.swap.max`, "0");
  const script = `$ffrtmp run --job-id eater --memory-max 1G -- perl -e '$x = "x" x (300 << 20)'`;
  const { code } = await runPlain(sandbox(), cgroups.caller, script);
  expect(code).toBe(128 + 9);
  expect((await sandbox().resultOf("eater")).signal).toBe("SIGKILL");
});

vmTest("a controller that the cgroup above lacks is enabled there for as long as jobs need it", async () => {
  const cgroups = plain(["cpu", "pids"]);
  const control = `${cgroups.parent}/cgroup.subtree_control`;
  const first = await startJob(cgroups, "first", "--memory-max 128M");
  const second = await startJob(cgroups, "second", "--memory-max 64M");
  expect(cgroups.read(control)).toBe("cpu memory pids");
  process.kill(first.pid, "SIGTERM");
  await first.wrapper.exited;
  expect(cgroups.read(`${second.directory}/memory.max`)).toBe(String(64 * MIB));
  process.kill(second.pid, "SIGTERM");
  await second.wrapper.exited;
  expect(cgroups.read(control)).toBe("cpu pids");
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest(
  "a limit that is set later gets its controller from the cgroup above, and the job stays in its place",
  async () => {
    const cgroups = plain(["cpu", "pids"]);
    cgroups.write(`${cgroups.caller}/pids.max`, "60");
    const { wrapper, pid, directory } = await startJob(cgroups, "later", "");
    const { code } = await sandbox().run([
      "limits",
      "set",
      "later",
      "--memory-max",
      "64M",
      "--pids-max",
      "90",
    ]);
    expect(code).toBe(0);
    expect(directoryOf(pid)).toBe(directory);
    expect(cgroups.read(`${directory}/memory.max`)).toBe(String(64 * MIB));
    expect(cgroups.read(`${dirname(directory)}/pids.max`)).toBe("60");
    process.kill(pid, "SIGTERM");
    await wrapper.exited;
    expect(cgroups.read(`${cgroups.parent}/cgroup.subtree_control`)).toBe("cpu pids");
    expect(cgroups.children()).toEqual(["caller"]);
  },
);

vmTest("detach returns a job to its caller's cgroup, and leaves nothing beside it", async () => {
  const cgroups = plain();
  cgroups.write(`${cgroups.caller}/pids.max`, "60");
  const before = filesOf(cgroups);
  const { pid } = await startJob(cgroups, "returned", "--memory-max 128M");
  expect(await sandbox().run(["detach", "returned"])).toMatchObject({ code: 0 });
  expect(directoryOf(pid)).toBe(cgroups.caller);
  expect(cgroups.children()).toEqual(["caller"]);
  expect(filesOf(cgroups)).toEqual(before);
});

/** As a container: its own cgroup is the outermost one that it sees. */
const NAMESPACE: PlainOptions = {
  unshare: ["--cgroup"],
  before: "umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup",
};

/** Situations in which the job is below its caller's cgroup, and a part of the reason in the outcome. */
const BELOW: Record<
  string,
  { prepare?(cgroups: PlainCgroups): void; options?: PlainOptions; because: string }
> = {
  "whose parent belongs to another user": {
    prepare: ({ caller, delegate }) => delegate(caller, USER),
    options: { uid: USER },
    because: "this user may not write to /sys/fs/cgroup/plain-",
  },
  // The carrier would be the second cgroup below the parent, the job's own the third.
  "whose parent the kernel gives no more cgroups": {
    prepare({ parent, caller, write }) {
      write(`${caller}/pids.max`, "60");
      write(`${parent}/cgroup.max.descendants`, "2");
    },
    because: "no cgroup beside it: EAGAIN",
  },
  "that is the root of a cgroup namespace": {
    options: NAMESPACE,
    because: "is the outermost cgroup that is visible here",
  },
  "whose parent has processes": {
    prepare({ parent, write }) {
      write(`${parent}/cgroup.subtree_control`, "-cpu -memory -io -pids");
      const sleeper = sandbox().spawn(["sleep", "1000"]);
      write(`${parent}/cgroup.procs`, String(sleeper.pid));
    },
    because: "has processes of its own",
  },
  "with a BPF program that restricts its devices": {
    prepare: ({ caller }) => attachDeviceProgram(caller),
    because: "has BPF programs, which cannot be carried",
  },
  "with a limit that cannot be carried": {
    prepare: ({ caller, write }) => write(`${caller}/cgroup.max.depth`, "3"),
    because: "has cgroup.max.depth 3, which cannot be carried",
  },
};
for (const [kind, { prepare, options = {}, because }] of Object.entries(BELOW)) {
  vmTest(`a job of a caller in a cgroup ${kind} is below that cgroup, and its outcomes say why`, async () => {
    const cgroups = plain();
    prepare?.(cgroups);
    const flags = "--job-id below --memory-max 128M --pids-max 30";
    const { place, limits, stderr } = await runAndInspect(cgroups, "below", flags, options);
    expect(place).toMatch(/^0::.*\/ffrtmp-[0-9a-f]{6}-below$/);
    expect(stderr).toContain(because);
    const outcomes = limits.map(({ limit, outcome }) => `${limit} ${outcome}`);
    expect(outcomes[0]).toBe("memory.max unsupported");
    expect(limits[0]?.because).toContain(because);
    expect(cgroups.children()).toEqual(["caller"]);
    expect(cgroups.read(`${cgroups.caller}/cgroup.type`)).toBe("domain");
  });
}

vmTest("a container whose processes are in a child of its outermost cgroup has all limits", async () => {
  const cgroups = plain();
  const script = `mkdir /sys/fs/cgroup/init
xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs || :
$ffrtmp run --job-id inside ${ALL} -- cat /proc/self/cgroup
cat /sys/fs/cgroup/cgroup.subtree_control`;
  const { stdout } = await runPlain(sandbox(), cgroups.caller, script, NAMESPACE);
  expect(stdout).toMatch(/^0::\/ffrtmp-[0-9a-f]{6}-inside\n\s*$/);
  expect(await outcomesOf("inside")).toEqual(ALL_APPLIED);
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest(
  "with a read-only cgroup mount a job has no limits, and the caller's cgroup is unchanged",
  async () => {
    const cgroups = plain();
    const before = filesOf(cgroups);
    const script = "$ffrtmp run --job-id locked --memory-max 128M -- cat /proc/self/cgroup";
    const options = { before: "mount -o bind,remount,ro /sys/fs/cgroup" };
    const { stdout, stderr } = await runPlain(sandbox(), cgroups.caller, script, options);
    expect(stdout).toBe(`0::${cgroups.caller.slice("/sys/fs/cgroup".length)}\n`);
    expect(stderr).toContain("mounted read-only");
    expect(filesOf(cgroups)).toEqual(before);
  },
);

vmTest("a user whose parent cgroup is delegated to them gets all limits beside their own", async () => {
  const cgroups = plain();
  for (const path of [cgroups.parent, cgroups.caller]) cgroups.delegate(path, USER);
  const { place, limits } = await runAndInspect(cgroups, "mine", `--job-id mine ${ALL}`, { uid: USER });
  expect(place).toMatch(/\/plain-\d+\/ffrtmp-\w{6}-mine$/);
  expect(limits.map(({ limit, outcome }) => `${limit} ${outcome}`)).toEqual(ALL_APPLIED);
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest("a job is not beside its caller in a unit of systemd, which this process cannot see", async () => {
  const cgroups = plain();
  const unit = `/sys/fs/cgroup/system.slice/plain-${process.pid}.service`;
  mkdirSync(unit);
  try {
    const script = "$ffrtmp run --job-id unit --memory-max 128M -- cat /proc/self/cgroup";
    const { stdout, stderr } = await runPlain(sandbox(), unit, script);
    expect(stdout).toContain(`/system.slice/${basename(unit)}/ffrtmp-`);
    expect(stderr).toContain("is a unit of systemd");
  } finally {
    await until("the unit's cgroup is removed", () => {
      if (existsSync(unit)) rmdirSync(unit);
      return !existsSync(unit);
    });
  }
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest("a job that a job starts stays in the cgroup of that job", async () => {
  const cgroups = plain();
  const inner = "$ffrtmp run --job-id inner -- cat /proc/self/cgroup";
  const script = `$ffrtmp run --job-id outer --memory-max 500M -- sh -c '${inner}'`;
  const { stdout } = await runPlain(sandbox(), cgroups.caller, script);
  expect(stdout).toMatch(/\/ffrtmp-\w{6}-outer\/ffrtmp-\w{6}-inner\n$/);
  expect(cgroups.children()).toEqual(["caller"]);
});

vmTest("SIGKILL of a wrapper during its start leaves nothing unrecorded, and no looser limit", async () => {
  const cgroups = plain();
  cgroups.write(`${cgroups.caller}/pids.max`, "60");
  const before = filesOf(cgroups);
  for (let n = 0; n < 8; n++) {
    const jobId = `killed-${n}`;
    const script = `exec $ffrtmp run --job-id ${jobId} --memory-max 128M -- sleep 1000`;
    const wrapper = startPlain(sandbox(), cgroups.caller, script);
    // The instants differ; none is required to be inside of a certain step.
    await Bun.sleep(250 * (n + 1));
    wrapper.kill("SIGKILL");
    await wrapper.exited;
    const jobs: { job_id: string; state: string; pid: number }[] = await sandbox().json(["ps"]);
    const running = jobs.find(({ job_id, state }) => job_id === jobId && state === "running");
    const made = cgroups.children().filter((name) => name.endsWith(`-${jobId}`));
    expect({ n, made: made.length }).toEqual({ n, made: running === undefined ? 0 : 1 });
    if (running === undefined) continue;
    const directory = directoryOf(running.pid);
    expect(dirname(dirname(directory))).toBe(cgroups.parent);
    expect(cgroups.read(`${dirname(directory)}/pids.max`)).toBe("60");
    expect(cgroups.read(`${directory}/memory.max`)).toBe(String(128 * MIB));
    process.kill(running.pid, "SIGKILL");
    await until("the workload has ended", () =>
      cgroups.read(`${directory}/cgroup.events`).includes("populated 0"),
    );
    await sandbox().run(["ps"]);
  }
  expect(cgroups.children()).toEqual(["caller"]);
  expect(filesOf(cgroups)).toEqual(before);
});

vmTest("a job whose ledger is lost is found again beside its caller's cgroup", async () => {
  const cgroups = plain();
  cgroups.write(`${cgroups.caller}/pids.max`, "60");
  const { wrapper, pid, directory } = await startJob(cgroups, "orphan", "--memory-max 128M");
  wrapper.kill("SIGKILL");
  await wrapper.exited;
  Bun.spawnSync(["sh", "-c", `rm ${sandbox().state}/ledger.db*`]);
  // Commands that only read create no ledger.
  await sandbox().run(["watch", "--once", "--target", `none-${sandbox().tag}`]);
  expect((await sandbox().json(["inspect", "orphan"])).cgroups).toEqual([directory]);
  process.kill(pid, "SIGKILL");
  await until("the cgroup is removed", async () => {
    await sandbox().run(["ps"]);
    return cgroups.children().length === 1;
  });
});

vmTest(
  "attach --placement scope without systemd carries the limits of the cgroup that it leaves",
  async () => {
    const cgroups = plain();
    const { caller, parent, read, write } = cgroups;
    write(`${caller}/memory.max`, String(200 * MIB));
    const sleeper = sandbox().spawn(["sleep", "1000"]);
    const other = sandbox().spawn(["sleep", "1000"]);
    for (const { pid } of [sleeper, other]) write(`${caller}/cgroup.procs`, String(pid));
    const before = filesOf(cgroups);
    const flags = `--pid ${sleeper.pid} --placement scope --memory-max 1G --pids-max 20`;
    const observer = startPlain(sandbox(), caller, `exec $ffrtmp attach --job-id moved ${flags}`);
    await sandbox().pidOf("moved");
    const directory = directoryOf(sleeper.pid);
    expect(dirname(dirname(directory))).toBe(parent);
    expect(read(`${dirname(directory)}/memory.max`)).toBe(String(200 * MIB));
    expect(await limitsOf("moved")).toMatchObject([
      { limit: "memory.max", actual: String(200 * MIB) },
      { limit: "pids.max", outcome: "applied", actual: "20" },
    ]);
    observer.kill("SIGTERM");
    await observer.exited;
    expect((await sandbox().run(["detach", "moved"])).code).toBe(0);
    expect(directoryOf(sleeper.pid)).toBe(caller);
    expect(filesOf(cgroups)).toEqual(before);
    expect(cgroups.children()).toEqual(["caller"]);
  },
);

vmTest("doctor says where a job of this caller is, and which limits it has there", async () => {
  const cgroups = plain();
  const { stdout } = await runPlain(sandbox(), cgroups.caller, "$ffrtmp doctor || :");
  expect(stdout).toMatch(/^memory.max +yes +read back as 67108864$/m);
  expect(stdout).toMatch(/^io.max +yes +read back as /m);
  expect(cgroups.children()).toEqual(["caller"]);
});

/** Runs a job that prints its cgroup, and inspects it as the same user: each user has a ledger of their own. */
async function runAndInspect(
  { caller }: PlainCgroups,
  jobId: string,
  flags: string,
  options: PlainOptions,
): Promise<{ place: string; limits: LimitText[]; stderr: string }> {
  const { uid = 0 } = options;
  chmodSync(sandbox().directory, 0o755);
  mkdirSync(sandbox().state);
  chownSync(sandbox().state, uid, uid);
  const script = `$ffrtmp run ${flags} -- cat /proc/self/cgroup; $ffrtmp inspect ${jobId} --json`;
  const { code, stdout, stderr } = await runPlain(sandbox(), caller, script, options);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const place = stdout.slice(0, stdout.indexOf("\n"));
  return { place, limits: JSON.parse(stdout.slice(place.length)).limits, stderr };
}

/** Attaches a program that allows every device. It goes away with the cgroup. */
function attachDeviceProgram(directory: string): void {
  const [BPF_PROG_LOAD, BPF_PROG_ATTACH, PROG_TYPE_CGROUP_DEVICE, CGROUP_DEVICE] = [5, 8, 15, 6];
  // BPF_MOV64_IMM(BPF_REG_0, 1); BPF_EXIT_INSN()
  const instructions = new BigUint64Array([0x0000_0001_0000_00b7n, 0x95n]);
  const license = new TextEncoder().encode("GPL\0");
  const load = new DataView(new ArrayBuffer(128));
  load.setUint32(0, PROG_TYPE_CGROUP_DEVICE, true);
  load.setUint32(4, instructions.length, true);
  load.setBigUint64(8, BigInt(addressOf(instructions)), true);
  load.setBigUint64(16, BigInt(addressOf(license)), true);
  const program = syscall("bpf", BPF_PROG_LOAD, load, load.byteLength);
  const target = openSync(directory, "r");
  const attach = new Uint32Array(32);
  attach.set([target, program, CGROUP_DEVICE]);
  const result = syscall("bpf", BPF_PROG_ATTACH, attach, attach.byteLength);
  closeSync(target);
  closeSync(program);
  expect({ program: program > 0, result }).toEqual({ program: true, result: 0 });
}
