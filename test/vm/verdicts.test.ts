import { afterEach, expect } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { followStats } from "../support/followStats.ts";
import { until, useSandbox } from "../support/sandbox.ts";
import { vmTest } from "../support/vm/insideVm.ts";
import { atRoot } from "../support/vm/rootCgroup.ts";

const sandbox = useSandbox();
const clean: (() => unknown)[] = [];
afterEach(() => {
  while (clean.length > 0) clean.pop()?.();
});

/** Verdicts are said after 30 s, by samples that an emulated machine delays, most of all beside other programs. */
const PATIENCE_MS = 400_000;
const FFMPEG = "ffmpeg -nostdin -loglevel quiet -re -f rawvideo -pix_fmt gray";

/** Reads blocks of 64 KiB of a file in any order, four of them for each 4 KiB that it writes. */
const READ_ANYWHERE =
  'open F, "<", $ARGV[0]; $blocks = (-s F) >> 16; for (;;) { for (1..4) ' +
  "{ sysseek F, (int rand $blocks) << 16, 0; sysread F, $block, 65536 } syswrite STDOUT, $block, 4096 or exit }";

/** Writes a file past the page cache, so that a reader waits for the disk. */
function writeToDisk(path: string, mebibytes: number): string {
  const words = ["dd", "if=/dev/zero", `of=${path}`, "bs=1M", `count=${mebibytes}`, "oflag=direct"];
  const { exitCode, stderr } = Bun.spawnSync(words);
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr}`);
  return path;
}

vmTest(
  "live jobs that their limits on memory and disks hold back are said to, with the limit",
  async () => {
    const directory = mkdtempSync("/data/ffrtmp-test-");
    clean.push(() => rmSync(directory, { recursive: true }));
    const [video, blocks] = [
      writeToDisk(join(directory, "video"), 80),
      writeToDisk(join(directory, "blocks"), 8),
    ];
    // Otherwise the first job reads the libraries through its limit, while the others wait for them.
    Bun.spawnSync(["ffmpeg", "-version"]);
    // Asking for each job whether it runs would take longer than everything else.
    const start = (jobId: string, flags: string[], command: string) => {
      const words = ["run", "--job-id", jobId, ...flags, "--", "sh", "-c", `exec ${command}`];
      sandbox().spawn(atRoot(words), { stdout: "ignore", stderr: "ignore" });
    };
    const to = (jobId: string) => `-progress ${sandbox().path(jobId)} -f null -`;
    // 400 KiB of video in a second.
    start(
      "disk",
      ["--io-max", `${directory} rbps=204800`],
      `${FFMPEG} -s 128x128 -r 25 -i ${video} -c copy ${to("disk")}`,
    );
    // The blocks have no room, so that most of them are read from the disk again and again.
    const pipe = `perl -e '${READ_ANYWHERE}' ${blocks} | ${FFMPEG} -s 64x64 -r 5 -i - -c copy ${to("max")}`;
    start("max", ["--memory-max", "14M", "--io-max", `${directory} riops=8`], pipe);

    const areRunning = () => ["disk", "max"].every((jobId) => existsSync(sandbox().path(jobId)));
    await until("they run", areRunning, PATIENCE_MS);
    // A daemon beside them would take most of the time of an emulated machine.
    const stats = followStats(sandbox(), "5s");
    const isMediaKnown = () => stats.of("disk").at(-1)?.media.source === "progress";
    await until("stats knows the media time", isMediaKnown, PATIENCE_MS);
    // At the limit the kernel holds the job back inside of page faults, and its command line cannot be read in time.
    // 10 frames of 2 MiB, beside 10 MiB of ffmpeg's own.
    start(
      "high",
      ["--memory-limit", "20"],
      `${FFMPEG} -s 2048x1024 -r 1 -i /dev/zero -vf tmix=frames=10 ${to("high")}`,
    );

    const expected = {
      disk: { verdict: "io", live: true, limit: "io.max" },
      high: { verdict: "memory", live: true, limit: "memory.high" },
      max: { verdict: "memory", live: true, limit: "memory.max" },
    };
    const jobIds = Object.keys(expected);
    const said = () => Object.fromEntries(jobIds.map((jobId) => [jobId, stats.of(jobId).at(-1)?.hindrance]));
    const isSaid = () => Object.values(said()).every((hindrance) => hindrance);
    // The log shows more about the cause than a timeout does.
    await until("stats says a cause for each", isSaid, PATIENCE_MS).catch(() => {});
    expect(said()).toMatchObject(expected);
  },
  2 * PATIENCE_MS,
);
