import { type Command, Option } from "commander";
import { type LimitLayer, type Limits, mergeLayers } from "../../limits/limits.ts";
import { parseOrNone } from "../../limits/noLimit.ts";
import { spellingsOf } from "../../limits/spellings.ts";
import { LIMITS, type Limit } from "../../limits/table.ts";
import { findWholeDisk } from "../../linux/blockDevice.ts";
import { type Pair, renderPairs } from "../output/table.ts";
import { optionValue } from "./optionValue.ts";

/** `lifts`: the command changes limits that are in force, and its options accept `max` for none. */
export function addLimitOptions(command: Command, { lifts = false } = {}): Command {
  for (const limit of Object.values(LIMITS)) {
    const options = optionsOf(limit, lifts);
    for (const option of options) {
      const others = options.filter((other) => other !== option);
      if (others.length > 0) option.conflicts(others.map((other) => other.attributeName()));
      command.addOption(option);
    }
  }
  return command.addHelpText("after", () => `\nValues:\n${spellings(command, lifts)}`);
}

function optionsOf({ keys, perDevice }: Limit, lifts: boolean): Option[] {
  return Object.entries(keys).map(([key, info]) => {
    const name = optionName(key);
    const option = new Option(`${name} <${info.placeholder}>`, info.help);
    if (info.replaces !== undefined) option.conflicts(new Option(optionName(info.replaces)).attributeName());
    const parse = optionValue<unknown>(`${info.expected}${lifts ? "; or max for none" : ""}`, (text) =>
      parseOrNone(info, text),
    );
    const parseOne = (text: string): unknown => {
      const value = parse(text);
      const mistake = info.mistakeIn?.(text);
      if (mistake) likelyMistakes.push(`${name} ${text} ${mistake.message}; perhaps: ${mistake.right}`);
      return value;
    };
    if (!perDevice) return option.argParser(parseOne);
    return option.argParser<Line[] | "max">((text, earlier) => {
      const lines = parseOne(text) as Line[] | "max";
      if (lines === "max") return lines;
      return (Array.isArray(earlier) ? earlier : []).concat(lines.map(withDisk));
    });
  });
}

function optionName(key: string): string {
  return `--${key.replaceAll("_", "-")}`;
}

type Line = { device: string };

/** Found while the command line is parsed. A command prints them once it knows that it is the one to do so. */
const likelyMistakes: string[] = [];

/** Returns the likely mistakes in the values of limit options, each only once. */
export function takeLikelyMistakes(): string[] {
  return likelyMistakes.splice(0);
}

/** Replaces a path by the number of the disk that it is on. A disk that is missing becomes a limit that is refused. */
function withDisk(line: Line): Line {
  const found = findWholeDisk(line.device);
  return "reason" in found ? line : { ...line, device: found.device };
}

/** Returns the limits among the flags of a command. */
export function limitsFrom(flags: object): Limits {
  return mergeLayers(limitLayerFrom(flags));
}

/** Returns the limits among the flags of a command, which commander names in camel case, and the cancelled ones. */
export function limitLayerFrom(flags: object): LimitLayer {
  const limits: Record<string, unknown> = {};
  for (const [flag, value] of Object.entries(flags)) {
    const key = flag.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    const limit = Object.values(LIMITS).find(({ keys }) => key in keys);
    if (limit) limits[limit.field] = value;
  }
  return limits;
}

/** Explains the notations of the values that the command's options accept. */
function spellings(command: Command, lifts: boolean): string {
  const used = spellingsOf(command.options.map(({ flags }) => flags.replace(/>$/, "")));
  const pairs = used.map(({ value, examples, meaning }, index): Pair => {
    const label = value === used[index - 1]?.value ? "" : value;
    return [label, `${examples.join(", ")}: ${meaning}`];
  });
  if (lifts)
    pairs.push(["any", "max, unlimited: no limit by ffrtmp; the one from before the job applies again"]);
  return renderPairs(pairs).replaceAll(/^/gm, "  ");
}
