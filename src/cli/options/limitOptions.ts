import { type Command, InvalidArgumentError, Option } from "commander";
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
    const { placeholder, help, expected, parse } = info;
    const option = new Option(`--${key.replaceAll("_", "-")} <${placeholder}>`, help);
    const parseOne = lifts
      ? optionValue<unknown>(`${expected}; or max for none`, (text) => parseOrNone(info, text))
      : optionValue<unknown>(expected, parse);
    if (!perDevice) return option.argParser(parseOne);
    return option.argParser<{ device: string }[] | "max">((text, earlier) => {
      const lines = parseOne(text) as { device: string }[] | "max";
      if (lines === "max") return "max";
      return [...(earlier === "max" ? [] : (earlier ?? [])), ...lines.map(withDisk)];
    });
  });
}

/** Replaces a path by the number of the disk that it is on. */
function withDisk(line: { device: string }): { device: string } {
  const found = findWholeDisk(line.device);
  if ("reason" in found) throw new InvalidArgumentError(`${found.reason}. To list disks: lsblk -d`);
  return { ...line, device: found.device };
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
