import type { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { lengthOf } from "./ffmpegArguments.ts";
import type { FileMaps } from "./probe.ts";
import type { Source } from "./sources.ts";
import type { TimeMap } from "./timeMap.ts";

/** The lengths and maps of what jobs read, as far as they are known. */
export class Lengths {
  readonly #slow: SlowReader;
  readonly #maps: FileMaps | undefined;

  /** `maps` is absent where files are not probed: then no length but that of `-t` or `-to` is known. */
  constructor(slow: SlowReader, maps: FileMaps | undefined) {
    this.#slow = slow;
    this.#maps = maps;
  }

  /** Resolves when the files are mapped that were asked for. */
  async settle(): Promise<void> {
    await this.#maps?.settle();
  }

  /** Returns the media time of the whole output; `undefined`: there is no end, or it is not known. */
  lengthOf(source: Source): number | undefined {
    const { ffmpeg, range, parts } = source;
    if (ffmpeg?.isLooped || source.usesUnknownPart) return undefined;
    const seconds = parts ? this.#secondsOf(source, parts) : this.mapOf(source)?.durationSeconds;
    return lengthOf(seconds, range, ffmpeg?.output ?? {});
  }

  /** Returns the length of the files of a list before the present one; 0 without a list. */
  secondsBefore(source: Source): number | undefined {
    const { parts, input } = source;
    return parts && input ? this.#secondsOf(source, parts.slice(0, parts.indexOf(input.path))) : 0;
  }

  /** Returns the map of the file that is read now. */
  mapOf(source: Source): TimeMap | undefined {
    const { input, user, process, parts } = source;
    if (input === undefined || user === undefined) return undefined;
    if (parts) return this.#mapOfPart(source, input.path);
    const { fd, identity, sizeBytes } = input;
    return this.#maps?.get({
      key: `${identity}:${sizeBytes}`,
      user,
      open: async () => {
        const answer = await this.#slow.read({ kind: "file-descriptor", ...process, fd, identity });
        return typeof answer === "object" ? answer.descriptor : undefined;
      },
    });
  }

  /** Returns the length of several files; `undefined`: that of one is not known, or there is none. */
  #secondsOf(source: Source, paths: readonly string[]): number | undefined {
    let sum = 0;
    // All are asked for, so that they are mapped together.
    const maps = paths.map((path) => this.#mapOfPart(source, path));
    for (const map of maps) {
      if (map === undefined) return undefined;
      sum += map.durationSeconds;
    }
    return sum;
  }

  #mapOfPart({ process, user }: Source, path: string): TimeMap | undefined {
    if (user === undefined) return undefined;
    return this.#maps?.get({
      key: `${process.pid}:${process.startTicks}:${path}`,
      user,
      open: async () => {
        const answer = await this.#slow.read({ kind: "path-descriptor", ...process, path });
        return typeof answer === "object" ? answer.descriptor : undefined;
      },
    });
  }
}
