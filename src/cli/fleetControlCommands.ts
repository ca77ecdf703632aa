import { Argument, type Command, Option } from "commander";
import { isNodeName, NODE_NAME } from "../fleet/token.ts";
import { parseDuration, ValueFault } from "../limits/units.ts";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addDirOption } from "./options/fleetOptions.ts";
import { addTimeOptions } from "./options/jobOptions.ts";
import { optionValue, wholeNumber } from "./options/optionValue.ts";

const CONFIG = "read the node's configuration from this file (default: /etc/ffrtmp/fleet/node.yaml)";

/** The subcommands of `fleet policy`. */
const FLEET_POLICY_COMMANDS: Record<string, CommandDefinition> = {
  push: {
    description: "check and sign a policy file, and roll it out to a ring of nodes",
    define: (command) => addRolloutOptions(command).argument("<file>", "policy file"),
    load: async () => (await import("./commands/fleet/policyPush.ts")).pushPolicy,
  },
  status: {
    description: "show the policy of each ring, and how many of its nodes have applied it",
    define: (command) =>
      addTimeOptions(addKeyOption(addDirOption(command)))
        .option("--no-trunc", "on a terminal, show all columns")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/policyStatus.ts")).showPolicyStatus,
  },
  rollback: {
    description: "roll a ring back to its earlier policy, under a new serial",
    define: (command) =>
      addRolloutOptions(command).option(
        "--to <serial>",
        "roll back to the policy of this serial",
        wholeNumber(1, Number.MAX_SAFE_INTEGER),
      ),
    load: async () => (await import("./commands/fleet/policyRollback.ts")).rollBackPolicy,
  },
};

/** The commands by which an operator says what is wanted of nodes. */
export const FLEET_CONTROL_COMMANDS: Record<string, CommandDefinition> = {
  policy: {
    description: "roll out a policy to a ring of nodes, show its state there, or roll it back",
    subcommands: FLEET_POLICY_COMMANDS,
  },
  ring: {
    description: "move a node to another ring of policies",
    define: (command) =>
      addKeyOption(addDirOption(command))
        .argument("<node>", "name of the node")
        .argument("[ring]", "name of the ring")
        .option("--reset", "move it back to the ring of its own configuration"),
    load: async () => (await import("./commands/fleet/cordon.ts")).assignRing,
  },
  cordon: {
    description: "keep a node, or this machine, from claiming jobs; running jobs continue",
    define: (command) =>
      addNodeOptions(command)
        .argument("[node]", "name of the node (default: this machine)")
        .requiredOption("--reason <text>", "record this reason, which ffrtmp fleet ps shows; required"),
    load: async () => (await import("./commands/fleet/cordon.ts")).cordon,
  },
  uncordon: {
    description: "let a node, or this machine, claim jobs again",
    define: (command) =>
      addNodeOptions(command).argument("[node]", "name of the node (default: this machine)"),
    load: async () => (await import("./commands/fleet/cordon.ts")).uncordon,
  },
  drain: {
    description: "cordon a node; with --wait, wait until the jobs that the fleet gave it have ended",
    define: (command) =>
      addKeyOption(addDirOption(command))
        .argument("<node>", "name of the node")
        .option("--reason <text>", "record this reason, which ffrtmp fleet ps shows (default: drain)")
        .option("--wait", "wait until no job of the fleet runs or is claimed there")
        .option("--timeout <time>", "stop waiting after this time, and exit with 124", parseWaitTime),
    load: async () => (await import("./commands/fleet/drain.ts")).drain,
  },
  key: {
    description: "print the public key that signs policies, or jobs; or make a new key",
    define: (command) =>
      addDirOption(command)
        .addArgument(new Argument("[purpose]", "what it signs").choices(["policy", "jobs"]).default("policy"))
        .option("--create <file>", "make a new key in this file, and print its public part"),
    load: async () => (await import("./commands/fleet/keys.ts")).showKey,
  },
  trust: {
    description: "list the keys whose policies this machine accepts, or add or remove one",
    define: (command) =>
      command
        .argument("[key]", "public key that ffrtmp fleet key printed, or - to read it from stdin")
        .option("--remove", "remove the key; policies that it has signed are no longer in force")
        .option("--config <file>", CONFIG),
    load: async () => (await import("./commands/fleet/keys.ts")).trustKey,
  },
};

function addKeyOption(command: Command): Command {
  return command.option("--key <file>", "sign with the key in this file (default: policy.nk of the fleet)");
}

function addNodeOptions(command: Command): Command {
  return addKeyOption(addDirOption(command)).option("--config <file>", CONFIG);
}

/** Adds the options of a roll-out: the nodes that get the policy, its expiry and the waiting. */
function addRolloutOptions(command: Command): Command {
  return addKeyOption(addDirOption(command))
    .option("--ring <ring>", "roll out to the nodes of this ring (default: stable)", parseRing)
    .addOption(
      new Option("--percent <n>", "roll out to this share of them, chosen by their names and the policy")
        .argParser(parsePercent)
        .default(100, "100"),
    )
    .addOption(
      new Option("--expires <time>", "let no node begin to use it after this time")
        .argParser(parseExpiry)
        .default(365 * 86_400_000, "365d"),
    )
    .option(
      "--wait <time>",
      "wait until all nodes of the ring that report have applied it; exit with 1 if not",
      parseWaitTime,
    )
    .option(
      "--max-violations <share>",
      "with --wait: exit with 1 when more of the jobs that end on these nodes are in violation, such as 1%",
      parseShare,
    );
}

export const parseRing = optionValue(NODE_NAME.replace(/^expected /, ""), (text) => {
  if (!isNodeName(text)) throw new ValueFault("is not the name of a ring");
  return text;
});

const parseWaitTime = optionValue("a time, such as 10m", parseDuration);

/** Ten years. */
const MAX_EXPIRY_MS = 3650 * 86_400_000;

const parseExpiry = optionValue("a time up to 3650d, such as 90d", (text) => {
  const ms = parseDuration(text);
  if (ms > MAX_EXPIRY_MS) throw new ValueFault("is too long");
  return ms;
});

const parsePercent = optionValue("a number from 0 to 100", (text) => percentOf(text));

/** Returns a part of 1. */
const parseShare = optionValue("a share, such as 1%", (text) => {
  if (!text.endsWith("%")) throw new ValueFault("has no %");
  return percentOf(text.slice(0, -1)) / 100;
});

function percentOf(text: string): number {
  if (!/^\d{1,3}(\.\d{1,2})?$/.test(text) || Number(text) > 100)
    throw new ValueFault("is not between 0 and 100");
  return Number(text);
}
