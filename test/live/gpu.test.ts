import { expect } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { MeterAnswer } from "../../src/daemon/meter/protocol.ts";
import { gpuOf } from "../../src/metrics/gpu/gpuUse.ts";
import { FFRTMP, lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const hasDriver = existsSync("/proc/driver/nvidia/version");
const standInTest = testIf(
  lacksLimits() ?? lacksCommand("cc") ?? (hasDriver ? "the machine has NVIDIA's own driver" : undefined),
);

/** Compiles the stand-in for the driver's library, and returns the environment in which it is found. */
function standIn(pid: number, error = 0): Record<string, string> {
  const directory = sandbox().path("driver");
  mkdirSync(directory, { recursive: true });
  const source = join(import.meta.dir, "../support/programs/nvml.c");
  const library = join(directory, "libnvidia-ml.so.1");
  if (!existsSync(library)) {
    const { exitCode, stderr } = Bun.spawnSync(["cc", "-shared", "-fPIC", "-w", "-o", library, source]);
    if (exitCode !== 0) throw new Error(`cc: ${stderr}`);
  }
  return {
    LD_LIBRARY_PATH: directory,
    FAKE_NVML_PID: String(pid),
    FAKE_NVML_ERROR: String(error),
  };
}

const USE = {
  memory_bytes: 3 * 2 ** 32,
  sm_percent: 12,
  encoder_percent: 34,
  decoder_percent: 56,
  encoder_sessions: 2,
};

standInTest("stats shows what the driver reports about the processes of a job, and of no other", async () => {
  const { pid } = await sandbox().startJob("encoder", ["--pids-max", "10"], ["sleep", "600"]);
  await sandbox().startJob("other", ["--pids-max", "10"], ["sleep", "600"]);
  const env = standIn(pid);
  const json = await sandbox().run(["stats", "--once", "--json"], { env });
  expect(json).toMatchObject({ code: 0, stderr: "" });
  const [encoder, other, device] = json.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(encoder).toMatchObject({ job_id: "encoder", gpu: USE });
  expect(other).toMatchObject({ job_id: "other", gpu: null });
  expect(device).toMatchObject({
    kind: "gpu",
    index: 0,
    name: "Stand-in",
    sm_percent: 30,
    encoder_percent: 97,
  });
  expect(device).toMatchObject({ decoder_percent: null, memory_bytes: 400, memory_total_bytes: 1000 });

  const table = await sandbox().run(["stats", "--once"], { env });
  const [heading, row, , , ...devices] = table.stdout.split("\n");
  expect(heading).toMatch(/GPU % +ENC % +DEC % +GPU MEM +HELD BACK BY +COMMAND$/);
  expect(row).toMatch(/^encoder .* 12\.0 +34\.0 +56\.0 +12\.0 GiB +- +sleep 600$/);
  expect(devices.map((line) => line.split(/ {2,}/))).toEqual([
    ["GPU", "GPU %", "ENC %", "DEC %", "GPU MEM", "OF"],
    ["0 Stand-in", "30.0", "97.0", "-", "400 B", "0.98 KiB"],
    [""],
  ]);
  // The table of devices is about the whole machine.
  const named = await sandbox().run(["stats", "--once", "other"], { env });
  expect(named.stdout).not.toContain("GPU");
});

standInTest("without a driver there is no GPU, whatever is in the working directory", async () => {
  const { pid } = await sandbox().startJob("plain", ["--pids-max", "10"], ["sleep", "600"]);
  const { LD_LIBRARY_PATH: directory = "", ...env } = standIn(pid);
  copyFileSync(join(directory, "libnvidia-ml.so.1"), sandbox().path("libnvidia-ml.so.1"));
  const { code, stdout, stderr } = await sandbox().run(["stats", "--once"], {
    env,
    cwd: sandbox().directory,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).not.toContain("GPU");
});

standInTest("a driver that fails is given up after three errors, with one warning", async () => {
  const { pid } = await sandbox().startJob("lost", ["--pids-max", "10"], ["sleep", "600"]);
  const [output, errors] = [sandbox().path("output"), sandbox().path("errors")];
  const stats = sandbox().start(["stats", "--json"], {
    // 15: the device has fallen off the bus.
    env: standIn(pid, 15),
    stdout: openSync(output, "w"),
    stderr: openSync(errors, "w"),
  });
  await until("a warning", () => readFileSync(errors, "utf8").includes("\n"));
  stats.kill("SIGINT");
  await stats.exited;
  const failure = "nvmlDeviceGetMemoryInfo of the NVIDIA driver failed with error 15";
  expect(readFileSync(errors, "utf8")).toBe(
    `ffrtmp: GPUs are not measured any more, after 3 errors: ${failure}; see: nvidia-smi\n`,
  );
  const lines = readFileSync(output, "utf8").trim().split("\n");
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ gpu: null });
});

standInTest(
  "the meter beside watch answers with the devices, although its filter denies most of ioctl",
  async () => {
    const request = { jobs: [{ key: "own", pids: [process.pid] }], forgotten: [] };
    const { exitCode, stdout } = Bun.spawnSync([FFRTMP, "meter"], {
      stdin: Buffer.from(`${JSON.stringify(request)}\n`),
      env: { ...process.env, ...standIn(process.pid) },
    });
    const [answer] = stdout.toString().split("\n");
    expect(exitCode).toBe(0);
    const { readings, devices, warnings } = JSON.parse(answer ?? "") as MeterAnswer;
    expect(readings.map(({ key }) => key)).toEqual(["own"]);
    expect(warnings).toEqual([]);
    expect(devices?.[0]).toMatchObject({ name: "Stand-in", device: { encoderPercent: 97 } });
    expect(gpuOf(devices ?? [], [process.pid])).toMatchObject({ encoderPercent: 34, encoderSessions: 2 });
  },
);
