import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { FFRTMP, lacksCommand, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const ffmpegTest = testIf(lacksCommand("ffmpeg"));
const rootTest = testIf(
  lacksRoot() ?? lacksCommand("ffmpeg") ?? lacksCommand("mount") ?? lacksCommand("unshare"),
);

const SOURCE = "-nostdin -v error -f lavfi -i testsrc2=s=160x120:r=25:d=600";
/** Encodes in real time for as long as the test takes. */
const endless = ["ffmpeg", ..."-re".split(" "), ...SOURCE.split(" "), ..."-f null -".split(" ")];

ffmpegTest("run --progress lets ffmpeg write to a file of its user, which goes with the job", async () => {
  const { wrapper, pid } = await sandbox().startJob("progress", ["--progress"], endless);
  const { command } = await sandbox().json(["inspect", "progress"]);
  const [ffmpeg, option, path, ...rest] = command;
  expect([ffmpeg, option, ...rest]).toEqual(["ffmpeg", "-progress", ...endless.slice(1)]);
  const { mode, uid } = statSync(path);
  expect({ mode: mode & 0o7777, uid }).toEqual({ mode: 0o600, uid: process.geteuid?.() ?? 0 });
  await until("ffmpeg reports", () => readFileSync(path, "utf8").includes("progress=continue"));
  const { media } = await sandbox().json(["inspect", "progress"]);
  expect(media).toMatchObject({ source: "progress", state: "running" });
  process.kill(pid);
  await wrapper.exited;
  expect(existsSync(path)).toBe(false);
});

ffmpegTest("the file goes with the job when its run is dead, and at a detach", async () => {
  for (const command of ["ps", "detach"]) {
    const { wrapper, pid } = await sandbox().startJob(command, ["--progress"], endless);
    const path = (await sandbox().json(["inspect", command])).command[2];
    await until("ffmpeg reports", () => readFileSync(path, "utf8").includes("progress=continue"));
    wrapper.kill("SIGKILL");
    await wrapper.exited;
    if (command === "ps") process.kill(pid);
    await until("it is gone", async () => {
      await sandbox().run(command === "ps" ? ["ps"] : ["detach", command]);
      return !existsSync(path);
    });
  }
});

ffmpegTest("nothing is inserted for another command, or where the user has named a file", async () => {
  const own = [...endless.slice(0, 1), "-progress", sandbox().path("own"), ...endless.slice(1)];
  await sandbox().startJob("own", ["--progress"], own);
  expect((await sandbox().json(["inspect", "own"])).command).toEqual(own);
  const { code, stderr } = await sandbox().run(["run", "--progress", "--", "true"]);
  expect(code).toBe(0);
  expect(stderr).toContain("--progress has no effect: the command is not ffmpeg");
});

ffmpegTest(
  "the output of ffmpeg is the same byte for byte with --progress and without, also while run is stopped",
  async () => {
    const encode = (name: string) => [
      "ffmpeg",
      ...`${SOURCE} -t 60 -c:v mpeg2video -bitexact -y ${sandbox().path(name)}.ts`.split(" "),
    ];
    expect((await sandbox().run(["run", "--progress", "--", ...encode("with")])).code).toBe(0);
    // A wrapper that is stopped reads nothing, and ffmpeg does not wait for it.
    const { wrapper, pid } = await sandbox().startJob("stopped", ["--progress"], encode("stopped"));
    wrapper.kill("SIGSTOP");
    await until("ffmpeg has ended", () => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
    wrapper.kill("SIGCONT");
    expect(await wrapper.exited).toBe(0);
    expect(Bun.spawnSync(encode("without")).exitCode).toBe(0);
    expect(readFileSync(sandbox().path("with.ts")).equals(readFileSync(sandbox().path("without.ts")))).toBe(
      true,
    );
  },
);

rootTest(
  "a job starts without a progress file where none can be made, and with a full disk for it",
  async () => {
    mkdirSync(sandbox().state, { recursive: true, mode: 0o700 });
    const encode = `ffmpeg ${SOURCE} -t 2 -f null -`;
    // In mount namespaces of their own: /run is read-only, and has then room for no report.
    const starts = {
      "read-only": `mount -t tmpfs -o ro none /run && : >${sandbox().state}/progress`,
      full: "mount -t tmpfs -o size=4k none /run && mkdir /run/ffrtmp && head -c 4096 /dev/zero >/run/ffrtmp/filler",
    };
    for (const [name, prepare] of Object.entries(starts)) {
      const command = `${prepare}; exec "$0" run --progress --job-id ${name} -- ${encode}`;
      const child = sandbox().spawn(["unshare", "--mount", "sh", "-c", command, FFRTMP]);
      expect({ name, code: await child.exited }).toEqual({ name, code: 0 });
    }
    const inserted = async (jobId: string) =>
      (await sandbox().json(["inspect", jobId])).command.includes("-progress");
    expect(await inserted("read-only")).toBe(false);
    expect(await inserted("full")).toBe(true);
  },
);
