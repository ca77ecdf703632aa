import { type Command, InvalidArgumentError, Option } from "commander";
import { spellingsOf } from "../../limits/grammar.ts";
import type { IoMax, Limits } from "../../limits/limits.ts";
import { findWholeDisk } from "../../linux/blockDevice.ts";
import { LIMIT_KEYS, LIMIT_VALUES, type LimitKey, type LimitOf } from "../../policy/limitValues.ts";
import { type Pair, renderPairs } from "../output/pairs.ts";
import { optionValue } from "./optionValue.ts";

/** What commander collects from the limit options: under the keys of a policy file, as it writes them. */
export interface LimitFlags {
  cpuQuota?: LimitOf<"cpu_quota">;
  cpuMax?: LimitOf<"cpu_max">;
  cpuWeight?: number;
  memoryLimit?: number;
  memoryMax?: number;
  ioMax?: IoMax[];
  pidsMax?: number;
  cpus?: string;
  nice?: number;
  ionice?: LimitOf<"ionice">;
  oomScoreAdj?: number;
}

/** The limits that every governed job may have; `watch` gives them to each job it finds. */
export function addLimitOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--cpu-quota <percent>", "CPU time, 100 = one core")
        .argParser(parserOf("cpu_quota"))
        .conflicts("cpuMax"),
    )
    .option("--cpu-max <quota period>", 'CPU time per period in µs, e.g. "50000 100000"', parserOf("cpu_max"))
    .option("--cpu-weight <weight>", "share of contended CPU, 1-10000, 100 is usual", parserOf("cpu_weight"))
    .option(
      "--memory-limit <size>",
      "soft: reclaims and slows above it, never kills; in MiB, or 2GiB",
      parserOf("memory_limit"),
    )
    .option(
      "--memory-max <size>",
      "hard: the kernel may kill inside the job at it; in bytes, or 2GiB",
      parserOf("memory_max"),
    )
    .option(
      "--io-max <device rate>",
      'e.g. "8:0 rbps=50MB/s wiops=500" or a path for the disk; repeatable',
      collectIoMax,
    )
    .option("--pids-max <n>", "processes and threads", parserOf("pids_max"))
    .option("--cpus <list>", "CPUs to run on, e.g. 0-3,8", parserOf("cpus"))
    .option("--nice <n>", "-20 (favoured) to 19", parserOf("nice"))
    .option("--ionice <class>", "realtime:0-7, best-effort:0-7 or idle", parserOf("ionice"))
    .option("--oom-score-adj <n>", "-1000 (never killed first) to 1000", parserOf("oom_score_adj"))
    .addHelpText("after", ({ command }) => `\nValues:\n${spellings(command)}`);
}

/** A limit's option is its key in a policy file with other letters between the words. */
export function limitsFrom(flags: LimitFlags): Limits {
  const limits: Limits = {};
  for (const key of LIMIT_KEYS) {
    const given =
      flags[key.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase()) as keyof LimitFlags];
    if (given !== undefined) Object.assign(limits, { [LIMIT_VALUES[key].field]: given });
  }
  return limits;
}

function parserOf<K extends LimitKey>(key: K): (text: string) => LimitOf<K> {
  const { right, parse } = LIMIT_VALUES[key];
  return optionValue(right, parse as (text: string) => LimitOf<K>);
}

/** Of the kinds of values that the command's options take. */
function spellings(command: Command): string {
  const used = spellingsOf(command.options.map(({ flags }) => flags.replace(/>$/, "")));
  const pairs = used.map(
    ({ value, examples, meaning }, index): Pair => [
      value === used[index - 1]?.value ? "" : value,
      `${examples.join(", ")}: ${meaning}`,
    ],
  );
  return renderPairs(pairs).replaceAll(/^/gm, "  ");
}

function collectIoMax(text: string, earlier: IoMax[] = []): IoMax[] {
  const max = parserOf("io_max")(text);
  const found = findWholeDisk(max.device);
  if ("reason" in found) throw new InvalidArgumentError(`${found.reason}. Disks are listed by: lsblk -d`);
  return [...earlier, { ...max, device: found.device }];
}
