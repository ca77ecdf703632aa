import type { Sandbox } from "./sandbox.ts";

/** The length of the files that `makeUneven` makes. */
export const LENGTH_SECONDS = 90;

/** Makes a file whose data rate changes twice by a factor of ten. */
export function makeUneven(sandbox: Sandbox, name: string): string {
  const path = sandbox.path(name);
  const part = LENGTH_SECONDS / 3;
  const sources = [
    `color=c=gray:s=160x120:r=25:d=${part}`,
    `testsrc2=s=320x240:r=25:d=${part},noise=alls=30:allf=t,scale=160:120`,
    `testsrc2=s=160x120:r=25:d=${part}`,
    `sine=d=${LENGTH_SECONDS}`,
  ];
  runFfmpeg(path, [
    ...sources.flatMap((source) => ["-f", "lavfi", "-i", source]),
    ..."-filter_complex [0][1][2]concat=n=3[v] -map [v] -map 3".split(" "),
    ..."-c:v libx264 -preset ultrafast -crf 20 -g 50 -c:a mp2 -b:a 384k".split(" "),
  ]);
  return path;
}

/** Makes a file with the content of another one, several times. */
export function repeatFile(sandbox: Sandbox, source: string, times: number, name: string): string {
  const path = sandbox.path(name);
  runFfmpeg(path, ["-stream_loop", String(times - 1), "-i", source, "-map", "0", "-c", "copy"]);
  return path;
}

function runFfmpeg(path: string, args: readonly string[]): void {
  const made = Bun.spawnSync(["ffmpeg", "-nostdin", "-v", "error", "-y", ...args, path]);
  if (!made.success) throw new Error(`ffmpeg cannot make ${path}: ${made.stderr}`);
}

/** Yields the lines of a stream without their ends. */
export async function* linesOf(
  stream: ReadableStream<Uint8Array>,
  separator: string | RegExp = "\n",
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(separator);
    rest = lines.pop() as string;
    yield* lines;
  }
}

/** A report of a program about its own progress, and when it arrived here. */
export interface Truth {
  readonly atMs: number;
  readonly mediaSeconds: number;
}

/** Returns the program's own media time; `undefined`: this machine was too busy for the program or for this test to say it exactly. */
export function truthAt(truth: readonly Truth[], atMs: number, maxGapMs = 1000): number | undefined {
  const next = truth.findIndex((each) => each.atMs > atMs);
  const [before, after] = [truth[next - 1], truth[next]];
  if (before === undefined || after === undefined || after.atMs - before.atMs > maxGapMs) return undefined;
  const part = (atMs - before.atMs) / (after.atMs - before.atMs);
  return before.mediaSeconds + part * (after.mediaSeconds - before.mediaSeconds);
}
