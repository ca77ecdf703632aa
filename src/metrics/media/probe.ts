import { fstatSync } from "node:fs";
import { setPriority } from "node:os";
import { closeFd } from "../../sys/descriptor.ts";
import { evenTimes, type MapPoint, TimeMap, unevenTimes } from "./timeMap.ts";

/** The number of places of a file that are mapped: first evenly in time, then the rest where the data rate changes most. */
const EVEN_POINTS = 16;
const FURTHER_POINTS = 14;
const TIMEOUT_MS = 3000;
/** After the kernel or the runtime should have ended it, it is left alone. */
const LATE_MS = 500;
const MAX_ABANDONED = 2;
const NICE = 19;

/** The user whose rights a probe has. */
export interface User {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Maps a media file by ffprobe: its duration, and the places of up to 30 packets that are spread over it. `descriptor` is
 * the open file, which stays open. ffprobe runs with the lowest priority, for at most 3 s, with the rights of `user` and
 * no other protocol than files. Returns `undefined` where ffprobe cannot be run or does not understand the file.
 */
async function probeFile(descriptor: number, user: User): Promise<TimeMap | undefined> {
  const executable = Bun.which("ffprobe");
  if (executable === null) return undefined;
  const probe = (...args: string[]) => runProbe(executable, descriptor, user, args);
  const found = await probe(
    "-show_entries",
    "format=duration,start_time,size:stream=index,codec_type:stream_disposition=attached_pic",
  );
  const { format, streams = [] } = (found ?? {}) as ProbedFile;
  const [durationSeconds, startSeconds = 0, sizeBytes] = [
    format?.duration,
    format?.start_time,
    format?.size,
  ].map((text) => (text === undefined ? undefined : Number(text)));
  if (!durationSeconds || !sizeBytes) return undefined;
  const stream =
    streams.find(({ codec_type, disposition }) => codec_type === "video" && !disposition?.attached_pic) ??
    streams.find(({ codec_type }) => codec_type === "audio");
  const end: MapPoint = { bytes: sizeBytes, seconds: durationSeconds };
  if (stream === undefined) return undefined;
  const readPoints = async (times: readonly number[]): Promise<MapPoint[]> => {
    const { packets = [] } = ((await probe(
      "-select_streams",
      String(stream.index),
      "-show_entries",
      "packet=pts_time,pos",
      "-read_intervals",
      times.map((seconds) => `${(startSeconds + seconds).toFixed(3)}%+#1`).join(","),
    )) ?? {}) as ProbedFile;
    return packets.flatMap(({ pts_time, pos }) =>
      pts_time === undefined || pos === undefined
        ? []
        : { bytes: Number(pos), seconds: Number(pts_time) - startSeconds },
    );
  };
  const even = await readPoints(evenTimes(0, durationSeconds, EVEN_POINTS));
  const further = unevenTimes(new TimeMap(even, end).points, FURTHER_POINTS);
  return new TimeMap([...even, ...(further.length === 0 ? [] : await readPoints(further))], end);
}

/** The output of `ffprobe -of json`. Numbers are texts there. */
interface ProbedFile {
  format?: { duration?: string; start_time?: string; size?: string };
  streams?: { index: number; codec_type?: string; disposition?: { attached_pic?: number } }[];
  packets?: { pts_time?: string; pos?: string }[];
}

async function runProbe(
  executable: string,
  descriptor: number,
  { uid, gid }: User,
  args: readonly string[],
): Promise<unknown> {
  if (abandoned.size >= MAX_ABANDONED) return undefined;
  // Where this process is that user already, a sandbox may not allow it to become it.
  const isOther = process.geteuid?.() === 0 && (uid !== 0 || gid !== process.getegid?.());
  try {
    const child = Bun.spawn({
      cmd: [
        // The kernel ends what uses more CPU time than that, also where this process may send no signal.
        ...["/bin/sh", "-c", `ulimit -t ${TIMEOUT_MS / 1000}; exec "$0" "$@"`],
        ...[executable, "-v", "quiet", "-protocol_whitelist", "file", "-of", "json", ...args],
        // By its descriptor, as the file may have no path here, or another one.
        ...["-i", "file:/proc/self/fd/0"],
      ],
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
      stdio: [descriptor, "pipe", "ignore"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
      ...(isOther ? { uid, gid } : {}),
    });
    lowerPriority(child.pid);
    const answer = Promise.all([new Response(child.stdout).text(), child.exited]);
    const late = Bun.sleep(TIMEOUT_MS + LATE_MS).then(() => undefined);
    const [text, exitCode] = (await Promise.race([answer, late])) ?? [];
    if (text === undefined) abandon(child);
    return exitCode === 0 && text !== undefined ? JSON.parse(text) : undefined;
  } catch {
    // It may not be executed by this user, or printed half of its answer.
    return undefined;
  }
}

/** The processes that did not end in time, as where a disk does not answer. */
const abandoned = new Set<Bun.Subprocess>();

function abandon(child: Bun.Subprocess): void {
  abandoned.add(child);
  child.unref();
  void child.exited.then(() => abandoned.delete(child));
}

function lowerPriority(pid: number): void {
  try {
    setPriority(pid, NICE);
  } catch {
    // It has ended already.
  }
}

/** A file to map, which the probe can open. */
interface ProbeRequest {
  /** Names the file with its content: another size is another file. */
  readonly key: string;
  /** Opens it; `undefined`: it cannot or must not be probed. */
  open(): Promise<number | undefined>;
  /** The user of the process. */
  readonly user: User;
}

/** Never root for the file of another user. */
function rightsFor(user: User, descriptor: number): User {
  const owner = fstatSync(descriptor);
  return user.uid === 0 && owner.uid !== 0 ? owner : user;
}

/** Jobs that read a file ask for its map each 10 s at least. */
const UNUSED_MS = 600_000;

interface KnownMap {
  /** `undefined`: it is being made, or cannot be. */
  map: TimeMap | undefined;
  usedMs: number;
}

/** Maps each file that is in use at most once, one at a time. */
export class FileMaps {
  /** The one that was used last is the last one. */
  readonly #maps = new Map<string, KnownMap>();
  readonly #now: () => number;
  #running: Promise<void> = Promise.resolve();

  constructor(now = () => performance.now()) {
    this.#now = now;
  }

  /** Returns the map of a file. `undefined`: it is being made, or cannot be. */
  get(request: ProbeRequest): TimeMap | undefined {
    const { key } = request;
    const found = this.#maps.get(key);
    const known: KnownMap = found ?? { map: undefined, usedMs: 0 };
    known.usedMs = this.#now();
    this.#maps.delete(key);
    this.#maps.set(key, known);
    if (found === undefined) {
      this.#dropUnused();
      this.#running = this.#running.then(() => this.#make(request, known));
    }
    return known.map;
  }

  /** Resolves when all files are mapped that were asked for. */
  settle(): Promise<void> {
    return this.#running;
  }

  /** Jobs come and go for as long as the meter runs, and a file that grows has a new map for each size. */
  #dropUnused(): void {
    for (const [key, { usedMs }] of this.#maps) {
      if (this.#now() - usedMs < UNUSED_MS) return;
      this.#maps.delete(key);
    }
  }

  async #make({ open, user }: ProbeRequest, known: KnownMap): Promise<void> {
    const descriptor = await open();
    if (descriptor === undefined) return;
    try {
      known.map = await probeFile(descriptor, rightsFor(user, descriptor));
    } catch {
      // A file of a server that is gone has no owner to ask for. The next file is mapped nevertheless.
    } finally {
      closeFd(descriptor);
    }
  }
}
