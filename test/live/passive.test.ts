import { expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../support/ports.ts";
import {
  eventually,
  FFRTMP,
  lacksCommand,
  lacksLimits,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { isForbidden, lacksTracing, SIGNALLING } from "../support/strace.ts";

const sandbox = useSandbox();
const SECONDS = Number(process.env["FFRTMP_TEST_PASSIVE_SECONDS"] ?? 20);
const passiveTest = testIf(
  lacksLimits() ??
    lacksTracing() ??
    ["ffmpeg", "ffprobe", "perl", "script", "bash"].map(lacksCommand).find((reason) => reason !== undefined),
);
const PROGRAMS = 11;

/** Runs programs of all kinds of inputs and outputs, and returns when they have started. */
function startStreams(name: string, ffmpeg: string) {
  const directory = sandbox().path(name);
  mkdirSync(directory);
  const received = new Map<string, Bun.CryptoHasher>();
  const receive = (as: string) => {
    const hash = new Bun.CryptoHasher("md5");
    received.set(as, hash);
    return { data: (_: unknown, bytes: Uint8Array) => void hash.update(bytes) };
  };
  const unix = join(directory, "receiver");
  const port = freePort();
  const listeners = [
    Bun.listen({ unix, socket: receive("unix") }),
    Bun.listen({ hostname: "127.0.0.1", port, socket: receive("tcp") }),
  ];
  const script = join(import.meta.dir, "../support/programs/streams.sh");
  const child = sandbox().spawn(["bash", script, ffmpeg, directory, String(SECONDS), String(port), unix], {
    stdout: "ignore",
    stderr: "ignore",
  });
  return {
    directory,
    child,
    places: [unix, `(${port})`],
    /** Waits for the end of all, and returns the MD5 of each output. */
    async end(): Promise<Record<string, string>> {
      await child.exited;
      for (const listener of listeners) listener.stop(true);
      const outputs = readdirSync(directory).filter((file) => file.endsWith(".ts") || file.endsWith(".m3u8"));
      return Object.fromEntries([
        ...[...received].map(([as, hash]) => [as, hash.digest("hex")]),
        ...outputs.toSorted().map((file) => [file, md5Of(join(directory, file))]),
      ]);
    },
  };
}

function md5Of(path: string): string {
  return new Bun.CryptoHasher("md5").update(readFileSync(path)).digest("hex");
}

const trace = (name: string) => sandbox().path(`${name}.strace`);

/** Starts ffrtmp below strace, which follows its threads and what it starts, as ffprobe. Returns strace, and ffrtmp's pid. */
async function startTraced(name: string, args: string[]): Promise<{ strace: Bun.Subprocess; pid: number }> {
  const calls = `trace=execve,open,openat,openat2,connect,pidfd_getfd,${SIGNALLING.join()}`;
  // -y: the real path of what was opened.
  const strace = sandbox().spawn(["strace", "-f", "-y", "-o", trace(name), "-e", calls, FFRTMP, ...args], {
    stdout: "ignore",
    stderr: "ignore",
  });
  // It would survive the end of strace.
  const pid = await eventually(`${name} is traced`, () =>
    existsSync(trace(name)) ? Number.parseInt(readFileSync(trace(name), "utf8"), 10) || undefined : undefined,
  );
  sandbox().adopt(pid);
  return { strace, pid };
}

/** Of any process but ffrtmp itself. */
const FORBIDDEN_FILES = /"(?!\/proc\/self\/)[^"]*\/(mem|environ|syscall|stack|wchan)"/;
/** What a descriptor leads to that an open returned. */
const FORBIDDEN_TARGETS = /= \d+<(pipe:|socket:|\/dev\/(pts\/|tty)|[^>]*fifo\.)/;

// 4711  openat(AT_FDCWD</>, "/proc/4026/fd/1", O_RDONLY|O_CLOEXEC|O_PATH) = 5<pipe:[812]>     ← opens nothing: open(2)
/** Returns the traced calls that a workload could notice, or that read what is private to it. */
function disturbances(name: string, places: readonly string[]): string[] {
  const lines = readFileSync(trace(name), "utf8").split("\n").filter(Boolean);
  expect(lines[0]).toMatch(/^\d+ +execve\("[^"]*ffrtmp/);
  // The pids of the threads and processes that were followed.
  const own = new Set(lines.map((line) => Number.parseInt(line, 10)));
  return lines.filter((line) => {
    // An ffprobe that takes too long, as on a busy machine, is ended by the ffrtmp that started it.
    if (own.has(Number(/ kill\((\d+)/.exec(line)?.[1]))) return false;
    if (isForbidden(line, (pid) => own.has(pid)) || / pidfd_getfd\((?!-1,)/.test(line)) return true;
    if (/ connect\(/.test(line)) return places.some((place) => line.includes(place));
    if (!/ open(at2?)?\(/.test(line)) return false;
    return FORBIDDEN_FILES.test(line) || (FORBIDDEN_TARGETS.test(line) && !line.includes("O_PATH"));
  });
}

passiveTest(
  `observing changes no byte of jobs, and opens nothing of theirs (${SECONDS} s; FFRTMP_TEST_PASSIVE_SECONDS=600: longer)`,
  async () => {
    const { name: target, path } = sandbox().program("ffmpeg");
    const port = freePort();
    const watch = await startTraced("watch", [
      ...["watch", "--target", target, "--listen", `127.0.0.1:${port}`, "--scan-interval", "100ms"],
      ...["--pids-max", "500"],
    ]);
    const scrape = async () => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
      return response?.status === 200 ? response.text() : undefined;
    };
    await until("watch answers", async () => (await scrape()) !== undefined);
    const ungoverned = startStreams("ungoverned", "ffmpeg");
    const governed = startStreams("governed", path);
    const jobs = async () => (await sandbox().json(["ps"])).length;
    await until("all programs are governed", async () => (await jobs()) >= PROGRAMS);

    const stats = await startTraced("stats", ["stats", "--json", "--interval", "1s"]);
    const tops: string[] = [];
    let measured = 0;
    while (governed.child.exitCode === null) {
      if ((await scrape())?.includes("ffrtmp_job_processes{")) measured++;
      const top = `top-${tops.length}`;
      tops.push(top);
      await (await startTraced(top, ["top", "--once"])).strace.exited;
      await Promise.race([Bun.sleep(2000), governed.child.exited]);
    }
    const [before, after] = [await ungoverned.end(), await governed.end()];
    for (const { pid, strace } of [stats, watch]) {
      process.kill(pid, "SIGTERM");
      await strace.exited;
    }

    expect(measured).toBeGreaterThan(0);
    expect(Object.keys(before).length).toBeGreaterThan(PROGRAMS - 1);
    expect(after).toEqual(before);
    const places = governed.places;
    for (const each of ["watch", "stats", ...tops])
      expect({ each, calls: disturbances(each, places) }).toEqual({ each, calls: [] });
    // The traces are those of what is meant: regular files were read, and ffprobe ran.
    const traced = readFileSync(trace("stats"), "utf8");
    expect(traced).toContain("progress.txt");
    expect(traced).toMatch(/execve\("[^"]*ffprobe"/);
  },
  // Longer than the default of all tests.
  { timeout: 1000 * (SECONDS + 240) },
);
