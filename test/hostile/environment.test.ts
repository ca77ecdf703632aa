import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { FFRTMP, readProc, type Sandbox, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const test = testIf(undefined);

/** Variables that steer the runtime, its allocator or the dynamic linker, with values that change something. */
const RUNTIME_VARIABLES: Record<string, string> = {
  BUN_JSC_logGC: "0",
  BUN_INSPECT: "127.0.0.1:0",
  BUN_CONFIG_VERBOSE_FETCH: "1",
  BUN_FEATURE_FLAG_DISABLE_DNS_CACHE: "1",
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: "/nonexistent",
  BUN_GARBAGE_COLLECTOR_LEVEL: "2",
  JSC_SIGNAL_FOR_GC: "15",
  NODE_OPTIONS: "--require /nonexistent",
  NODE_EXTRA_CA_CERTS: "/nonexistent",
  NODE_CHANNEL_FD: "77",
  MIMALLOC_SHOW_ERRORS: "0",
  MALLOC_ARENA_MAX: "1",
  LD_LIBRARY_PATH: "/nonexistent",
  GLIBC_TUNABLES: "glibc.malloc.arena_max=1",
};

/** Writes a script that adds its PID to a file, and returns both paths. */
function writeIntruder(box: Sandbox): { script: string; marks: string } {
  const script = box.path("intruder.js");
  const marks = box.path("marks");
  writeFileSync(script, `require("node:fs").appendFileSync(${JSON.stringify(marks)}, process.pid + "\\n");`);
  return { script, marks };
}

function environmentOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").slice(0, -1);
}

async function startWatch(
  box: Sandbox,
  env: Record<string, string>,
  wrapper: string[] = [],
): Promise<number> {
  const log = box.path("watch.log");
  const command = [FFRTMP, "watch", "--target", `none-${box.tag}`, "--state-path", box.state];
  const script = `exec "$@" 2>'${log}'`;
  const { pid } = box.spawn(["sh", "-c", script, "sh", ...wrapper, ...command], { env, stderr: "ignore" });
  await until("the daemon watches", () => existsSync(log) && /Watching for/.test(readFileSync(log, "utf8")));
  return pid;
}

test("the daemon runs without the variables that steer its runtime, and keeps all others", async () => {
  const box = sandbox();
  // "$0" has a byte that is not UTF-8.
  const odd = ["sh", "-c", `ODD=$(printf 'a\\377b') exec "$0" "$@"`];
  const pid = await startWatch(box, { ...RUNTIME_VARIABLES, KEPT: "a=b c", EMPTY: "" }, odd);
  const variables = environmentOf(pid);
  const names = variables.map((variable) => variable.split("=")[0] ?? "");
  expect(names.filter((name) => name in RUNTIME_VARIABLES)).toEqual([]);
  expect(names.filter((name) => /^(BUN|JSC|NODE|MIMALLOC|MALLOC|LD)_/.test(name))).toEqual([]);
  expect(variables).toContain("KEPT=a=b c");
  expect(variables).toContain("EMPTY=");
  expect(variables).toContain("ODD=a\xffb");
  expect(variables).toContain(`FFRTMP_STATE=${box.state}`);
  expect(variables).toContain(`PATH=${process.env["PATH"]}`);
});

test("a script that BUN_OPTIONS adds is not in the daemon that stays, and no debugger listens", async () => {
  const box = sandbox();
  const { script, marks } = writeIntruder(box);
  const pid = await startWatch(box, { BUN_OPTIONS: `--preload ${script} --inspect=127.0.0.1:0` });
  // The runtime reads the variable before any code of ffrtmp runs: once, in the start that was replaced.
  expect(readFileSync(marks, "utf8")).toBe(`${pid}\n`);
  expect(environmentOf(pid).filter((variable) => variable.startsWith("BUN_"))).toEqual([]);
  expect(readFileSync(box.path("watch.log"), "utf8")).not.toContain("nspect");
  const inodes = new Set(
    readProc(pid, "net/tcp")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words[3] === "0A")
      .map((words) => `socket:[${words[9]}]`),
  );
  const { stdout } = Bun.spawnSync(["ls", "-l", `/proc/${pid}/fd`]);
  const sockets = stdout.toString().match(/socket:\[\d+\]/g) ?? [];
  expect(sockets.filter((socket) => inodes.has(socket))).toEqual([]);
});

test("a workload gets every variable of its caller unchanged", async () => {
  const box = sandbox();
  // BUN_OPTIONS with an option that the runtime ignores in an executable.
  const env = { ...RUNTIME_VARIABLES, BUN_OPTIONS: "--smol", BUN_BE_BUN: "" };
  const list = box.path("list");
  const { code } = await box.run(["run", "--", "sh", "-c", `cat /proc/$$/environ > '${list}'`], { env });
  expect(code).toBe(0);
  const received = readFileSync(list, "latin1").split("\0").slice(0, -1).sort();
  const given = Object.entries({ ...box.environment, ...env }).map(([name, value]) => `${name}=${value}`);
  expect(received).toEqual(given.sort());
});

test("a workload has the message channel of the program that started ffrtmp", async () => {
  const box = sandbox();
  const program = box.path("worker.js");
  writeFileSync(
    program,
    'process.on("message", (text) => process.send(text + " received", () => process.exit(0)));',
  );
  const received = Promise.withResolvers<string>();
  const child = Bun.spawn([FFRTMP, "run", "--", process.execPath, program], {
    env: { ...box.environment },
    stdio: ["ignore", "ignore", "ignore"],
    serialization: "json",
    ipc: (message) => received.resolve(String(message)),
  });
  box.adopt(child.pid);
  child.send("greeting");
  const ended = child.exited.then((code) => `ended with ${code}`);
  expect(await Promise.race([received.promise, ended])).toBe("greeting received");
  expect(await child.exited).toBe(0);
});

test("configuration of the runtime in the working, state and home directory is not read", async () => {
  const box = sandbox();
  const { script, marks } = writeIntruder(box);
  for (const directory of [box.directory, box.state]) {
    mkdirSync(directory, { recursive: true });
    for (const name of ["bunfig.toml", ".bunfig.toml"])
      writeFileSync(`${directory}/${name}`, `preload = [${JSON.stringify(script)}]\n`);
    const paths = { "*": [script], "node:fs": [script], "bun:sqlite": [script], commander: [script] };
    writeFileSync(`${directory}/tsconfig.json`, JSON.stringify({ compilerOptions: { paths } }));
    writeFileSync(
      `${directory}/package.json`,
      JSON.stringify({ name: "x", main: script, imports: { "#x": script } }),
    );
    writeFileSync(`${directory}/.env`, `FFRTMP_STATE=/nonexistent\nINTRUDER=1\n`);
  }
  const env = { HOME: box.directory, XDG_CONFIG_HOME: box.directory };
  const list = box.path("list");
  for (const cwd of [box.directory, box.state]) {
    expect((await box.run(["ps"], { env, cwd })).code).toBe(0);
    const command = ["sh", "-c", `cat /proc/$$/environ > '${list}'`];
    expect((await box.run(["run", "--", ...command], { env, cwd })).code).toBe(0);
    expect(readFileSync(list, "latin1")).not.toContain("INTRUDER");
    expect((await box.run(["watch", "--once", "--target", `none-${box.tag}`], { env, cwd })).code).toBe(0);
  }
  expect(existsSync(marks)).toBe(false);
});

test("no library is loaded from the working directory, also where the C library cannot be used", async () => {
  const box = sandbox();
  const names = ["libc.so", "libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];
  for (const name of names) writeFileSync(box.path(name), "not a library");
  // Without its compiler the runtime calls no foreign functions.
  const env = { BUN_JSC_useJIT: "0" };
  const { code, stderr } = await box.run(["run", "--", "true"], { env, cwd: box.directory });
  expect(stderr).toContain("the environment sets BUN_JSC_useJIT");
  for (const name of names) expect(stderr).not.toContain(box.path(name));
  expect(stderr).not.toContain("invalid ELF header");
  expect(code).toBe(125);
});
