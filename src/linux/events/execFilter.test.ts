import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { netlinkReceiver } from "../../sys/connectorSocket.ts";
import { decodeProcEvent } from "./cnProc.ts";
import { ExecFilter, handOverExecFilter, loadExecFilter, takeOverExecFilter } from "./execFilter.ts";
import { openProcConnector } from "./procConnector.ts";

const loaded = loadExecFilter(process.pid);
const connector = openProcConnector(8 * 1024 * 1024, false);
const unsupported = "reason" in loaded ? loaded : "reason" in connector ? connector : undefined;
if (unsupported) process.stderr.write(`not tried: the filter of execs: ${unsupported.reason}\n`);

const directory = mkdtempSync("/tmp/ffrtmp-test-");
afterAll(() => {
  rmSync(directory, { recursive: true });
  if (!("reason" in connector)) connector.close();
});

describe.skipIf(unsupported !== undefined)("the filter of execs", () => {
  if ("reason" in loaded || "reason" in connector) return;
  const opened = ExecFilter.open(loaded);
  if ("reason" in opened) throw new Error(opened.reason);
  const filter = opened;
  connector.listen();
  connector.filterExecs(filter.programFd);
  const receiver = netlinkReceiver(connector.fd);

  /** Returns the pids of the execs that have arrived since the last call. */
  function arrived(): Set<number> {
    const pids = new Set<number>();
    for (let length = receiver.receive(); length >= 0; length = receiver.receive()) {
      const event = decodeProcEvent(receiver.message, length);
      if (typeof event === "object" && event.kind === "exec") pids.add(event.pid);
    }
    return pids;
  }

  /** Executes a link to a program, and returns the pid after the process has ended. */
  async function execute(name: string, program = "/bin/true"): Promise<number> {
    const path = join(directory, name);
    rmSync(path, { force: true });
    symlinkSync(program, path);
    const child = Bun.spawn([path]);
    await child.exited;
    return child.pid;
  }

  const NAMES = ["ffmpeg", "gst-launch-1.0", "f", "a name", "Ünïcödé", "15-bytes-of-nam", "paren)(x"];

  test("passes an exec under each wanted name, and remembers the others", async () => {
    filter.setNames(NAMES);
    arrived();
    filter.takeDropped();
    for (const name of NAMES) {
      const pid = await execute(name);
      expect([name, arrived().has(pid), filter.takeDropped()?.has(pid) ?? false]).toEqual([
        name,
        true,
        false,
      ]);
    }
    for (const name of ["ffmpe", "ffmpeg2", "FFMPEG", "sh", "15-bytes-of-na"]) {
      const before = filter.dropped;
      const pid = await execute(name);
      expect([name, arrived().has(pid), filter.takeDropped()?.has(pid)]).toEqual([name, false, true]);
      expect(filter.dropped).toBeGreaterThan(before);
    }
  });

  test("cuts a name as the kernel does", async () => {
    filter.setNames(["a-very-long-enc"]);
    const pid = await execute("a-very-long-encoder");
    expect(arrived().has(pid)).toBe(true);
  });

  test("sees a script under its own name, and not under that of its interpreter", async () => {
    const script = join(directory, "a-script");
    writeFileSync(script, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
    const run = async (): Promise<number> => {
      const child = Bun.spawn([script]);
      await child.exited;
      return child.pid;
    };
    filter.setNames(["sh"]);
    filter.takeDropped();
    const asInterpreter = await run();
    expect(arrived().has(asInterpreter)).toBe(false);
    expect(filter.takeDropped()?.has(asInterpreter)).toBe(true);
    filter.setNames(["a-script"]);
    expect(arrived().has(await run())).toBe(false);
    const asScript = await run();
    expect(arrived().has(asScript)).toBe(true);
  });

  test("loses no exec under a name that stays wanted while names change without end", async () => {
    const path = join(directory, "wanted");
    symlinkSync("/bin/true", path);
    const count = 300;
    filter.setNames(["wanted"]);
    arrived();
    const storm = Bun.spawn(["sh", "-c", `for i in $(seq ${count}); do ${path}; done`]);
    const pids = new Set<number>();
    for (let turn = 0; storm.exitCode === null; turn++) {
      const others = Array.from({ length: 50 }, (_, index) => `name-${turn}-${index}`);
      filter.setNames([...others, "wanted"]);
      connector.passAllExecs();
      connector.filterExecs(filter.programFd);
      for (const pid of arrived()) pids.add(pid);
      await Bun.sleep(0);
    }
    for (const pid of arrived()) pids.add(pid);
    filter.setNames([]);
    expect(pids.size).toBeGreaterThanOrEqual(count);
  });

  test("passes nothing without names", async () => {
    filter.setNames(NAMES);
    filter.setNames([]);
    arrived();
    for (const name of NAMES) await execute(name);
    expect([...arrived()]).toEqual([]);
  });

  test("is handed over to a program that this process executes, by its descriptors", () => {
    const { fds, note } = handOverExecFilter();
    expect(note).toBe(`exec-filter ${fds.join(" ")}`);
    expect(takeOverExecFilter(note)).toBeInstanceOf(ExecFilter);
  });

  test.skipIf(Bun.which("setpriv") === null).each([
    ["+net_admin", "bpf(BPF_MAP_CREATE): EPERM"],
    // As on a kernel without this helper for socket filters.
    ["+bpf", "bpf(BPF_PROG_LOAD): EINVAL"],
  ])("is not loaded with %s alone, and the reason says what is needed", (capability, reason) => {
    const source = new URL("./execFilter.ts", import.meta.url).pathname;
    const script = `import { handOverExecFilter } from "${source}"; console.log(JSON.stringify(handOverExecFilter()));`;
    const drop = ["setpriv", "--bounding-set", `-all,${capability}`, "--inh-caps", "-all"];
    const { stdout } = Bun.spawnSync([...drop, process.execPath, "-e", script]);
    const { fds, note } = JSON.parse(stdout.toString());
    expect(fds).toEqual([]);
    expect(note).toStartWith(`${reason}; loading it needs Linux 6.16, CAP_BPF and CAP_PERFMON`);
  });
});

test("a note that names no filter is a reason, also one that a user has invented", () => {
  for (const note of [undefined, "", "1", "exec-filter 1", "exec-filter 999999 999998", '{"programFd":5}'])
    expect(takeOverExecFilter(note)).toHaveProperty("reason");
});
