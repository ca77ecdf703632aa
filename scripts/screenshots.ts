import { mkdirSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { liveStream, type ShownPage, showPage } from "../test/support/page.ts";
import { freePort } from "../test/support/ports.ts";
import { eventually, Sandbox } from "../test/support/sandbox.ts";

/**
 * Makes the pictures of docs/images with real jobs: `node_modules/.bin/bun scripts/screenshots.ts [FOLDER]`, as root, with
 * dist/ffrtmp, ffmpeg and Chromium. Takes some minutes: what holds a job back is said only after 30 s.
 */
const FOLDER = resolve(process.argv[2] ?? "docs/images");
const FREE_MS = 60_000;
const STARVED_MS = 30_000;
const MOST_WAIT_MS = 240_000;

const box = new Sandbox();
mkdirSync(FOLDER, { recursive: true });
try {
  await startJobs();
  await takePictures();
} finally {
  await box.close();
}
process.exit(0);

async function startJobs(): Promise<void> {
  const film = makeFilm();
  const free = await receive(5);
  const slow = await receive(0.5);
  await run(
    "channel-7",
    ["--tenant", "acme", "--cpu-quota", "100", "--memory-max", "1G", "--progress"],
    encode(),
  );
  await run("restream-2", ["--tenant", "acme", "--memory-max", "512M", "--progress"], send(slow));
  await run("cam-lobby", ["--tenant", "blue", "--cpu-quota", "50", "--progress"], send(free));
  await run(
    "vod-88213",
    ["--tenant", "blue", "--cpu-quota", "100", "--memory-max", "1G"],
    transcode(film, 2.4),
  );
  await run("vod-88214", ["--memory-max", "1G"], transcode(film, 1.6));
  await run("thumbs", ["--cpu-quota", "25"], liveStream());
  await box.run([
    "run",
    "--job-id",
    "clip-771",
    "--sla-eligible",
    "--",
    "ffmpeg",
    "-v",
    "quiet",
    "-i",
    "missing.mp4",
    "out.mp4",
  ]);
  await box.run(["run", "--job-id", "vod-88190", "--sla-eligible", "--", ...liveStream(3)]);
}

async function takePictures(): Promise<void> {
  // The daemon takes over the jobs that run already.
  const light = await showPage(box);
  try {
    const { page } = light;
    await Bun.sleep(FREE_MS);
    await box.run(["limits", "set", "channel-7", "--cpu-quota", "8"]);
    await page.getByText("held back by its own CPU quota").waitFor({ timeout: MOST_WAIT_MS });
    await Bun.sleep(STARVED_MS);
    await save(light, "page-light");
    await page.goto(`${light.url}#/jobs/channel-7`);
    await page.locator("canvas").first().waitFor();
    await Bun.sleep(3000);
    await save(light, "page-job");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(`${light.url}#/jobs`);
    await page.getByRole("table", { name: "Running jobs" }).waitFor();
    await save(light, "page-dark");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 390, height: 844 });
    await save(light, "page-phone", false);
    light.daemon.process.kill("SIGKILL");
    await page.getByRole("alert").getByText("cannot be reached").waitFor();
    await save(light, "page-lost", false);
  } finally {
    await light.close();
  }
}

/** Saves a picture with a palette, which is a third of the size. */
async function save({ page }: ShownPage, name: string, fullPage = true): Promise<void> {
  const raw = box.path(`${name}.png`);
  const path = resolve(FOLDER, `${name}.png`);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: raw, fullPage });
  const palette = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=dither=none";
  ffmpeg("-i", raw, "-vf", palette, "-compression_level", "9", "-pred", "mixed", path);
  rmSync(raw);
  console.log(`${path}: ${Math.round(Bun.file(path).size / 1000)} kB`);
}

async function run(jobId: string, flags: string[], command: string[]): Promise<void> {
  const { code, stderr } = await box.run(["run", "-d", "--job-id", jobId, ...flags, "--", ...command]);
  if (code !== 0) throw new Error(stderr);
  box.adopt(await box.pidOf(jobId));
}

/** Starts a receiver that reads at a multiple of the real time, and is no job. Returns its port. */
async function receive(rate: number): Promise<number> {
  const port = freePort();
  const url = `tcp://127.0.0.1:${port}?listen=1&recv_buffer_size=8192`;
  const command = [
    "ffmpeg",
    "-nostdin",
    "-v",
    "quiet",
    "-readrate",
    String(rate),
    "-i",
    url,
    "-f",
    "null",
    "-",
  ];
  box.spawn(command, { stdout: "ignore", stderr: "ignore" });
  await eventually(
    `port ${port} is open`,
    async () =>
      (await Bun.file("/proc/net/tcp").text()).includes(
        `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`,
      ) || undefined,
  );
  return port;
}

/** Needs some percent of a core. */
function encode(): string[] {
  return words("-re -f lavfi -i testsrc2=s=640x360:r=25 -c:v libx264 -preset faster -f null -");
}

function send(port: number): string[] {
  return words(
    `-re -f lavfi -i testsrc2=s=160x120:r=25 -c:v mpeg2video -b:v 400k -f mpegts tcp://127.0.0.1:${port}`,
  );
}

function transcode(film: string, rate: number): string[] {
  return words(`-readrate ${rate} -i ${film} -vf scale=64:48 -c:v mpeg2video -f null -`);
}

function makeFilm(): string {
  const path = box.path("film.mp4");
  ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=900", "-c:v", "libx264", "-preset", "ultrafast", path);
  return path;
}

function words(text: string): string[] {
  return ["ffmpeg", "-nostdin", "-v", "error", ...text.split(" ")];
}

function ffmpeg(...args: string[]): void {
  const made = Bun.spawnSync(["ffmpeg", "-nostdin", "-v", "error", "-y", ...args]);
  if (!made.success) throw new Error(`ffmpeg ${args.join(" ")}: ${made.stderr}`);
}
