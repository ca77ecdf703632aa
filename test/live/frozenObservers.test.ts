import { expect } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import {
  isRunning,
  isStopped,
  lacksCommand,
  lacksLimits,
  lacksRoot,
  testIf,
  until,
  useSandbox,
} from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const frozenTest = testIf(lacksLimits() ?? lacksRoot() ?? lacksCommand("ffmpeg") ?? lacksCommand("mount"));

/** More on stderr than a pipe or a socket takes: a job that waited for its observer would stand still. */
const ENOUGH_BYTES = 128 * 1024;
/** Many reports of progress. */
const ENOUGH_PROGRESS_BYTES = 8 * 1024;
const LENGTH_SECONDS = 60;

/** A job that waits for its input, and the process that observes it. */
interface Observed {
  readonly jobId: string;
  readonly pid: number;
  readonly observerPid: number;
  readonly progress: string;
}

/** Reads a FIFO, reports as often as it can, and puts out the same bytes with each run. */
const words = (name: string): string[] =>
  `-nostdin -y -v debug -debug_ts -stats_period 0.0005 -f mpegts -i ${sandbox().path(name)}.fifo -threads 1 -c:v mpeg2video -bitexact -f mpegts ${sandbox().path(name)}.ts`.split(
    " ",
  );

const OBSERVERS: Record<string, (name: string) => Promise<Observed>> = {
  async run(name) {
    const stderr = openSync(sandbox().path(`${name}.log`), "w");
    const flags = ["--progress", "--pids-max", "100"];
    const { pid, wrapper } = await sandbox().startJob(name, flags, ["ffmpeg", ...words(name)], { stderr });
    const { command } = await sandbox().json(["inspect", name]);
    return { jobId: name, pid, observerPid: wrapper.pid, progress: command[2] };
  },
  async watch(name) {
    const { name: target, path } = sandbox().program("ffmpeg");
    const daemon = await startDaemon(sandbox(), [
      ...["--target", target, "--pids-max", "100", "--scan-interval", "100ms"],
    ]);
    const progress = sandbox().path(`${name}.progress`);
    const { pid } = sandbox().spawn([path, "-progress", progress, ...words(name)], {
      stdout: "ignore",
      stderr: openSync(sandbox().path(`${name}.log`), "w"),
    });
    const jobId = `auto-${target}-${pid}`;
    await sandbox().pidOf(jobId);
    return { jobId, pid, observerPid: daemon.process.pid, progress };
  },
};

/** What befalls an observer. Each returns how it gets better. */
const FAULTS: Record<string, (observer: number) => Promise<() => void>> = {
  async "is stopped"(observer) {
    process.kill(observer, "SIGSTOP");
    await until("it is stopped", () => isStopped(observer));
    return () => process.kill(observer, "SIGCONT");
  },
  async "is killed"(observer) {
    process.kill(observer, "SIGKILL");
    await until("it is gone", () => !isRunning(observer));
    return () => {};
  },
  async "has a full disk"() {
    const filler = `${sandbox().state}/filler`;
    fill(filler);
    return () => rmSync(filler);
  },
};

function fill(path: string): void {
  const fd = openSync(path, "w");
  for (const size of [64 * 1024, 1024, 1]) {
    try {
      while (writeSync(fd, new Uint8Array(size)) > 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
    }
  }
  closeSync(fd);
}

function feed(name: string, source: string): void {
  sandbox().spawn(["sh", "-c", `cat '${source}' >'${sandbox().path(name)}.fifo'`]);
}

/** A zombie has ended too: a parent that is stopped does not collect it. */
const hasEnded = (pid: number): boolean => !isRunning(pid);

function md5Of(name: string): string {
  return new Bun.CryptoHasher("md5").update(readFileSync(sandbox().path(`${name}.ts`))).digest("hex");
}

for (const [observer, start] of Object.entries(OBSERVERS)) {
  for (const [fault, befall] of Object.entries(FAULTS)) {
    frozenTest(`a job puts out the same bytes when the ${observer} that observes it ${fault}`, async () => {
      const source = sandbox().path("source.ts");
      const make = `ffmpeg -v error -f lavfi -i testsrc2=s=32x32:d=${LENGTH_SECONDS} -c:v mpeg2video ${source}`;
      expect(Bun.spawnSync(make.split(" ")).exitCode).toBe(0);
      for (const name of ["observed", "alone"]) Bun.spawnSync(["mkfifo", `${sandbox().path(name)}.fifo`]);
      sandbox().mountState("8m");
      const { jobId, pid, observerPid, progress } = await start("observed");
      const recover = await befall(observerPid);
      feed("observed", source);
      await until("the job has ended", () => hasEnded(pid));
      expect(statSync(sandbox().path("observed.log")).size).toBeGreaterThan(ENOUGH_BYTES);
      // Only a `run` that works removes the file.
      const isRemoved = observer === "run" && fault === "has a full disk" && !existsSync(progress);
      const progressBytes = isRemoved ? undefined : statSync(progress).size;
      expect(progressBytes ?? Number.POSITIVE_INFINITY).toBeGreaterThan(ENOUGH_PROGRESS_BYTES);
      recover();
      expect(await sandbox().resultOf(jobId)).toMatchObject({ pid });
      feed("alone", source);
      const alone = sandbox().spawn(["ffmpeg", ...words("alone")], { stdout: "ignore", stderr: "ignore" });
      expect(await alone.exited).toBe(0);
      expect(md5Of("observed")).toBe(md5Of("alone"));
    });
  }
}
