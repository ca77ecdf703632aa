import { expect } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { handlesSignals } from "../support/processes.ts";
import { FFRTMP, lacksCommand, testIf, until, useSandbox } from "../support/sandbox.ts";
import { lacksSlurm, lacksSlurmCgroups, Slurm } from "../support/slurm.ts";
import { startDaemon } from "../support/watchDaemon.ts";

// A real Slurm of one node, and the examples of docs/schedulers.md.

const sandbox = useSandbox();
const slurmTest = testIf(lacksSlurm() ?? lacksCommand("ffmpeg"));

/** A transcode in real time, for longer than a test takes. */
const transcode = (program: string, output: string): string =>
  `${program} -nostdin -loglevel error -re -f lavfi -i testsrc=size=32x32:rate=5 -y ${output}`;

slurmTest("srun of ffrtmp exec: the exit code goes through, and the labels name job and step", async () => {
  // Without cgroups of Slurm, its variables name the job.
  await using slurm = await Slurm.start(sandbox(), "linuxproc");
  const words = [FFRTMP, "exec", "--job-id", "step", "--label", "channel=7", "--", "sh", "-c"];
  const child = slurm.start("srun", ...words, "echo $SLURM_JOB_ID $PPID; exit 7");
  const [id = ""] = (await new Response(child.stdout).text()).split(" ");
  expect(await child.exited).toBe(7);
  const [job] = await sandbox().json(["history"]);
  expect(job).toMatchObject({ job_id: "step" });
  expect(job.labels).toEqual({ scheduler: "slurm", slurm_job: id, slurm_step: "0", channel: "7" });
  const { stdout: inspected } = await sandbox().run(["inspect", "step"]);
  expect(inspected).toMatch(new RegExp(`^label +slurm_job=${id}$`, "m"));
  const { stdout: listed } = await sandbox().run(["ps", "--all", "--filter", `label=slurm_job=${id}`]);
  expect(listed).toMatch(new RegExp(`^OUTCOME .* SCHEDULER .*\\n.* step .* slurm ${id} `));
});

slurmTest("scancel ends a job of ffrtmp exec as it ends one without", async () => {
  await using slurm = await Slurm.start(sandbox());
  const ends: { end: string; format: string }[] = [];
  const { path: ffmpeg } = sandbox().program("ffmpeg");
  for (const [name, prefix] of [
    ["plain", ""],
    ["governed", `${FFRTMP} exec --job-id governed --pids-max 50 -- `],
  ] as const) {
    const output = sandbox().path(`${name}.mkv`);
    const id = await slurm.submit(`echo $$ >${output}.pid; exec ${prefix}${transcode(ffmpeg, output)}`);
    await until("it has written", () => existsSync(output));
    // The shell of the script, the same process as ffmpeg.
    const pid = Number(readFileSync(`${output}.pid`, "utf8"));
    await until("ffmpeg handles SIGTERM", () => handlesSignals(pid, "SIGTERM"));
    await slurm.cancel(id);
    const end = await slurm.endOf(id);
    await until("ffmpeg has ended", () => !existsSync(`/proc/${pid}`));
    const probe = sandbox().spawn(["ffprobe", "-v", "error", "-show_entries", "format=format_name", output]);
    ends.push({ end, format: await new Response(probe.stdout as ReadableStream).text() });
    if (name === "plain") continue;
    const [job] = await sandbox().json(["history"]);
    expect(job).toMatchObject({ pid, labels: { scheduler: "slurm", slurm_job: id } });
  }
  const [plain, governed] = ends;
  expect(plain?.format).toContain("matroska");
  expect(governed).toEqual(plain as (typeof ends)[0]);
  expect(sandbox().cgroups()).toEqual([]);
});

slurmTest("watch labels what Slurm starts, and a rule matches the label", async () => {
  await using slurm = await Slurm.start(sandbox());
  const { name, path } = sandbox().program("ffmpeg");
  const policy = sandbox().path("policy.yaml");
  writeFileSync(
    policy,
    `target_commands: [${name}]\nrules: [{name: batch, match: {labels: {scheduler: slurm}}, labels: {tier: batch}}]\n`,
  );
  await startDaemon(sandbox(), ["--watch-config", policy]);
  const id = await slurm.submit(`exec ${transcode(path, sandbox().path("out.mkv"))}`);
  const find = async () => (await sandbox().json(["ps"]))[0];
  await until("it is governed", async () => (await find()) !== undefined);
  const job = await find();
  // Without a cgroup, nothing that the daemon reads by itself names the job.
  const expected =
    slurm.tracking === "cgroup"
      ? { rule: "batch", labels: { scheduler: "slurm", slurm_job: id, slurm_step: "batch", tier: "batch" } }
      : { rule: null, labels: {} };
  expect(job).toMatchObject(expected);
  await slurm.cancel(id);
  expect(await slurm.endOf(id)).toStartWith("CANCELLED");
  expect(await sandbox().resultOf(job.job_id)).toMatchObject({ ending: "exited", exit_code: 255 });
});

const cgroupTest = testIf(lacksSlurmCgroups());

cgroupTest("run and attach take the labels from the cgroups of Slurm", async () => {
  await using slurm = await Slurm.start(sandbox());
  const run = slurm.start("srun", FFRTMP, "run", "--job-id", "ran", "--", "sh", "-c", "echo $SLURM_JOB_ID");
  const first = (await new Response(run.stdout).text()).trim();
  expect(await run.exited).toBe(0);
  const file = sandbox().path("pid");
  const second = await slurm.submit(`echo $$ >${file}.new; mv ${file}.new ${file}; exec sleep 1000`);
  await until("the second one runs", () => existsSync(file));
  const pid = readFileSync(file, "utf8").trim();
  const flags = ["--job-id", "found", "--label", "slurm_step=mine", "--pids-max", "50"];
  expect((await sandbox().run(["attach", "-d", ...flags, "--pid", pid])).code).toBe(0);
  const labels = { scheduler: "slurm", slurm_job: first, slurm_step: "0" };
  expect((await sandbox().json(["inspect", "ran"])).labels).toEqual(labels);
  expect((await sandbox().json(["inspect", "found"])).labels).toEqual({
    scheduler: "slurm",
    slurm_job: second,
    slurm_step: "mine",
  });
  await slurm.cancel(second);
  expect(await slurm.endOf(second)).toStartWith("CANCELLED");
});

slurmTest("a job of ffrtmp run outlives its scancel, where Slurm tracks by process group", async () => {
  await using slurm = await Slurm.start(sandbox(), "pgid");
  const id = await slurm.submit(`exec ${FFRTMP} run --job-id outlives -- sleep 1000`);
  const pid = await sandbox().pidOf("outlives");
  sandbox().adopt(pid);
  await slurm.cancel(id);
  expect(await slurm.endOf(id)).toStartWith("CANCELLED");
  expect(existsSync(`/proc/${pid}`)).toBeTrue();
});
