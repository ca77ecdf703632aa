import { type Command, InvalidArgumentError, Option } from "commander";
import type { Limits } from "../../limits/limits.ts";
import { spellingsOf } from "../../limits/spellings.ts";
import { type CgroupLimit, LIMITS, type LimitKey, type TaskLimit } from "../../limits/table.ts";
import { findWholeDisk } from "../../linux/blockDevice.ts";
import { type Pair, renderPairs } from "../output/pairs.ts";
import { optionValue } from "./optionValue.ts";

/** The values that commander collects from the limit options. */
export type LimitFlags = { [K in LimitKey as CamelCase<K>]?: unknown };

type CamelCase<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S;

/** Adds an option for each key of each limit. */
export function addLimitOptions(command: Command): Command {
  for (const limit of Object.values(LIMITS)) {
    const options = optionsOf(limit);
    for (const option of options) {
      const others = options.filter((other) => other !== option);
      command.addOption(option.conflicts(others.map((other) => other.attributeName())));
    }
  }
  return command.addHelpText("after", () => `\nValues:\n${spellings(command)}`);
}

function optionsOf({ keys, perDevice }: CgroupLimit | TaskLimit): Option[] {
  return Object.entries(keys).map(([key, { placeholder, help, expected, parse }]) => {
    const parser = optionValue(expected, parse);
    return new Option(`--${key.replaceAll("_", "-")} <${placeholder}>`, help).argParser(
      perDevice ? collectDevices(parser as (text: string) => DeviceLine[]) : parser,
    );
  });
}

interface DeviceLine {
  device: string;
}

/** Returns a parser for an option that may be given several times, with the number of the disk in place of a path. */
function collectDevices(parse: (text: string) => DeviceLine[]) {
  return (text: string, earlier: DeviceLine[] = []): DeviceLine[] => {
    const lines = parse(text).map((line) => {
      const found = findWholeDisk(line.device);
      if ("fault" in found) throw new InvalidArgumentError(`${found.fault}. To list disks: lsblk -d`);
      return { ...line, device: found.device };
    });
    return [...earlier, ...lines];
  };
}

export function limitsFrom(flags: LimitFlags): Limits {
  const limits: Limits = {};
  for (const { field, keys } of Object.values(LIMITS)) {
    for (const key of Object.keys(keys)) {
      const name = key.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase());
      const given = flags[name as keyof LimitFlags];
      if (given !== undefined) Object.assign(limits, { [field]: given });
    }
  }
  return limits;
}

/** Explains the notations of the values that the command's options accept. */
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
