import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { drawTerminal } from "./topCapture/drawTerminal.ts";

// Makes docs/images/top.svg, the picture of `ffrtmp top` in the README, and the same as text in top.txt: starts real jobs
// for about two minutes, among them one that its quota slows and one whose receiver is slow. Needs root, ffmpeg and tmux.
// Usage: topCapture.ts [SECONDS]
const SECONDS = Number(process.argv[2] ?? 100);
const [COLUMNS, ROWS] = [80, 24];
const FFRTMP = resolve("dist/ffrtmp");
const IMAGES = resolve("docs/images");
const SLOW_BYTES_PER_SECOND = 150_000;

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-capture-"));
const env = {
  ...(process.env as Record<string, string>),
  FFRTMP_STATE: join(directory, "state"),
  LC_ALL: "C.UTF-8",
};
const [input, long] = [join(directory, "in.mkv"), join(directory, "long.mkv")];
const started: number[] = [];
const tmux = ["tmux", "-L", `ffrtmp-capture-${process.pid}`, "-f", "/dev/null"];

try {
  // Noise makes a stream that fills the buffers of a slow receiver soon.
  const noise = "testsrc2=s=640x360:r=25,noise=alls=30";
  run(...words("ffmpeg -v error -f lavfi -i"), noise, ...words("-t 60 -c:v mpeg4 -q:v 3"), input);
  run(...words("ffmpeg -v error -stream_loop 9 -i"), input, ...words("-c copy"), long);
  const [fast, slow] = [receiver(Number.POSITIVE_INFINITY), receiver(SLOW_BYTES_PER_SECOND)];
  const stream = [
    ...words("ffmpeg -hide_banner -re -stream_loop -1 -i"),
    input,
    ...words("-c copy -f mpegts"),
  ];
  const encode = words(
    "ffmpeg -hide_banner -re -f lavfi -i testsrc2=s=1280x720:r=25 -c:v libx264 -preset veryfast -f null -",
  );
  const transcode = [...words("ffmpeg -hide_banner -i"), long, ...words("-c:v mpeg4 -f null -")];
  job("clip-771", "--tenant blue", ["false"]);
  job("vod-88190", "--tenant blue --sla-eligible", ["true"]);
  job("channel-7-1080p", "--tenant acme --cpu-quota 15% --memory-max 512M --progress", encode);
  job("restream-yt", "--tenant acme --memory-max 256M", [...stream, `tcp://127.0.0.1:${slow}`]);
  job("channel-2-720p", "--tenant acme --cpu-quota 100%", [...stream, `tcp://127.0.0.1:${fast}`]);
  job("vod-88213", "--tenant blue --cpu-quota 20% --memory-max 512M", transcode);
  job("thumbs-batch", "--memory-max 512M", words("sleep 600"));
  run(...tmux, "new-session", "-d", "-x", String(COLUMNS), "-y", String(ROWS), `${FFRTMP} top`);
  await Bun.sleep(500 * SECONDS);
  // The mark of the selection would hide the colors of the first job.
  run(...tmux, "send-keys", "End");
  await Bun.sleep(500 * SECONDS);
  mkdirSync(IMAGES, { recursive: true });
  writeFileSync(
    join(IMAGES, "top.svg"),
    drawTerminal(run(...tmux, "capture-pane", "-p", "-e"), { columns: COLUMNS, rows: ROWS }),
  );
  writeFileSync(join(IMAGES, "top.txt"), `${run(...tmux, "capture-pane", "-p").trimEnd()}\n`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  Bun.spawnSync([...tmux, "kill-server"]);
  for (const pid of started) kill(pid);
  // The cgroups of the jobs are removed with their ends.
  await Bun.sleep(1000);
  Bun.spawnSync([FFRTMP, "ps"], { env });
  rmSync(directory, { recursive: true, force: true });
  process.exit();
}

function words(text: string): string[] {
  return text.split(" ");
}

function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: { ...env, TERM: "tmux-256color" } });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString()}`);
  return stdout.toString();
}

function job(id: string, flags: string, command: string[]): void {
  run(FFRTMP, "run", "--detach", "--job-id", id, ...words(flags), "--", ...command);
  const { pid } = JSON.parse(run(FFRTMP, "inspect", id, "--json"));
  if (pid !== null) started.unshift(pid);
}

/** Returns the port of a TCP server that reads at most this much. */
function receiver(bytesPerSecond: number): number {
  const { port } = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        if (!Number.isFinite(bytesPerSecond)) return;
        socket.pause();
        setTimeout(() => socket.resume(), (1000 * bytes.length) / bytesPerSecond);
      },
    },
  });
  return port;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch {
    // It has ended by itself.
  }
}
