import { type Command, Option } from "commander";
import type { CommandDefinition } from "./commandDefinition.ts";
import { DISPATCH_COMMANDS } from "./dispatchCommands.ts";
import { FLEET_CONTROL_COMMANDS, parseRing } from "./fleetControlCommands.ts";
import { addDirOption, poolNames } from "./options/fleetOptions.ts";
import { addStateOption, addTimeOptions, parseLabel } from "./options/jobOptions.ts";
import { wholeNumber } from "./options/optionValue.ts";
import { QUEUE_COMMANDS } from "./queueCommands.ts";

const JOIN_NOTE = `
The invite contains the key of the node, so another user must not see it. With
- it is read from stdin, and is in no list of processes and no shell history:
  ffrtmp fleet invite edge-1 | ssh root@edge-1 ffrtmp fleet join -`;

const AGENT_NOTE = `
Only reads the ledger, with a connection that cannot write. Connects outwards,
and listens nowhere. Where root accepts jobs of the fleet, it claims them and
records the claims; the runner starts them. Its end, and that of the hub,
change nothing for a job.`;

const GROW_NOTE = `
While the hub runs, this closes the queues of jobs, saves the streams of the hub
and makes the files of its servers. Then it says what to do with them. Results
and reports that the hub gets meanwhile are sent to it again by the nodes.`;

/** Commands for many machines. Those that read the hub need the operator's keys; `join` is for the machine that becomes a node. */
const COMMANDS: Record<string, CommandDefinition> = {
  init: {
    description: "make the keys, the certificates and the server configuration of a new fleet",
    define: (command) =>
      addDirOption(command).argument(
        "<hub>",
        "address by which nodes reach the hub: HOST or HOST:PORT; those of three servers with commas",
      ),
    load: async () => (await import("./commands/fleet/init.ts")).init,
  },
  up: {
    description: "run the hub on this machine, in the foreground",
    define: (command) =>
      addDirOption(command).option("--nats-server <file>", "run this nats-server (default: the one in PATH)"),
    load: async () => (await import("./commands/fleet/up.ts")).up,
  },
  setup: {
    description: "create the streams of a hub that runs as a service, or bring them up to date",
    define: (command) =>
      addDirOption(command).option(
        "--replicas <n>",
        "keep this many copies of each stream (default for new streams: one on each server)",
        wholeNumber(1, 5),
      ),
    load: async () => (await import("./commands/fleet/setup.ts")).setUp,
  },
  grow: {
    description: "make a hub of three servers, or of five, of one with one server: it keeps all that it has",
    define: (command) =>
      addDirOption(command)
        .argument("<hub>", "addresses of all its servers, with commas; the present one is the first")
        .addHelpText("after", GROW_NOTE),
    load: async () => (await import("./commands/fleet/grow.ts")).grow,
  },
  invite: {
    description: "add a node, and print the invite with which a machine joins as this node",
    define: (command) =>
      addDirOption(command)
        .argument("<node>", "name of the node: letters, digits, - and _")
        .option("--renew", "give a node a new key; the old one is no longer valid")
        .option("--pool <pool>", "let the node claim jobs of this pool; repeatable", poolNames),
    load: async () => (await import("./commands/fleet/invite.ts")).invite,
  },
  join: {
    description: "make this machine a node, with an invite",
    define: (command) =>
      command
        .argument("<invite>", "line that ffrtmp fleet invite printed, or - to read it from stdin")
        .option("--label <name=value>", "give the node a label; repeatable", parseLabel)
        .option("--offline", "do not check the connection to the hub")
        .option("--replace", "replace the node that this machine is")
        .option("--start", "let the agent read the ledger, and enable and start its service")
        .option("--ring <ring>", "belong to this ring of policies (default: stable)", parseRing)
        .option("--no-policy", "accept no policies of the fleet; ffrtmp fleet trust KEY does later")
        .option("--config <file>", "write this file (default: /etc/ffrtmp/fleet/node.yaml)")
        .addHelpText("after", JOIN_NOTE),
    load: async () => (await import("./commands/fleet/join.ts")).join,
  },
  revoke: {
    description: "remove a node from the fleet: its key is no longer valid, and its jobs run on",
    define: (command) => addDirOption(command).argument("<node>", "name of the node"),
    load: async () => (await import("./commands/fleet/revoke.ts")).revoke,
  },
  agent: {
    description: "report the jobs of this machine and send their results to the hub, until it is stopped",
    define: (command) =>
      addStateOption(command)
        .option(
          "--config <file>",
          "read the node's configuration from this file (default: /etc/ffrtmp/fleet/node.yaml)",
        )
        .option("--with-commands", "report command lines too, with their secrets masked")
        .option(
          "--accept <file>",
          "take jobs as this file allows (default: accept.yaml in the directory of the configuration; without it, none)",
        )
        .option(
          "--agent-state <dir>",
          "record claims below this directory (default: state_dir of the configuration, or /var/lib/ffrtmp-fleet)",
        )
        .option(
          "--runner-state <dir>",
          "read what the runner has started in this directory (default: /var/lib/ffrtmp-runner)",
        )
        .addHelpText("after", AGENT_NOTE),
    load: async () => (await import("./commands/fleetAgent.ts")).runFleetAgent,
  },
  resend: {
    description: "make this ledger a new one for the hub, to which the agent sends all results again",
    define: (command) =>
      addStateOption(command).requiredOption("--all", "confirm that all results are sent again; required"),
    load: async () => (await import("./commands/fleetResend.ts")).resendResults,
  },
  ...DISPATCH_COMMANDS,
  ps: {
    description:
      "list the nodes: whether each is up or silent, its jobs, results that wait, and what is wrong",
    define: (command) =>
      addTimeOptions(addDirOption(command))
        .option("--no-trunc", "on a terminal, show all columns and whole problems")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/ps.ts")).ps,
  },
  ...FLEET_CONTROL_COMMANDS,
  jobs: {
    description: "list the jobs that run on the nodes, as these reported last",
    define: (command) =>
      addTimeOptions(addDirOption(command))
        .option("--node <node>", "list only the jobs of this node")
        .option("--tenant <name>", "list only the jobs of this tenant")
        .option("--no-trunc", "on a terminal, show all columns")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/jobs.ts")).jobs,
  },
  results: {
    description: "list the finished jobs of all nodes",
    define: (command) =>
      addTimeOptions(addPeriodOptions(command))
        .option("--failed", "show only jobs whose outcome is failed or killed, and not unknown")
        .option("--violations", "show only jobs for which the platform did not do its part")
        .option("-n, --limit <n>", "show at most this many jobs, latest first", wholeNumber(1, 1_000_000), 50)
        .option("--no-trunc", "on a terminal, show all columns and whole reasons")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/results.ts")).results,
  },
  sla: {
    description: "show how many of the jobs with --sla-eligible were compliant, overall and for each node",
    define: (command) =>
      addPeriodOptions(command)
        .addOption(
          new Option("--by <group>", "show the rates of each node, or of each tenant")
            .choices(["node", "tenant"])
            .default("node"),
        )
        .option("--utc", "show times in UTC instead of local time")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/fleet/sla.ts")).sla,
  },
  ...QUEUE_COMMANDS,
};

/** The headings of `ffrtmp fleet --help`, with their commands in order. */
const GROUPS: Record<string, readonly string[]> = {
  "Set up the hub and its nodes:": ["init", "up", "setup", "grow", "invite", "revoke", "restore"],
  "On a node:": ["join", "agent", "resend", "trust", "accept", "runner"],
  "See nodes, jobs and results:": ["ps", "jobs", "results", "sla"],
  "Control nodes:": ["policy", "ring", "cordon", "uncordon", "drain", "key"],
  "Hand out jobs:": ["submit", "queue", "cancel", "requeue", "lost", "template"],
};

export const FLEET_COMMANDS: Record<string, CommandDefinition> = inGroups(COMMANDS, GROUPS);

/** Returns the commands in the order of their groups. Throws an Error for a command that is in no group or in two. */
function inGroups(
  commands: Record<string, CommandDefinition>,
  groups: Record<string, readonly string[]>,
): Record<string, CommandDefinition> {
  const grouped: Record<string, CommandDefinition> = {};
  for (const [group, names] of Object.entries(groups))
    for (const name of names) {
      const definition = commands[name];
      if (definition === undefined || name in grouped) throw new Error(`${group} ${name} has no one place`);
      grouped[name] = { ...definition, group };
    }
  const missing = Object.keys(commands).filter((name) => !(name in grouped));
  if (missing.length > 0) throw new Error(`in no group of ffrtmp fleet --help: ${missing}`);
  return grouped;
}

function addPeriodOptions(command: Command): Command {
  return addDirOption(command)
    .option(
      "--since <time>",
      "only jobs that ended then or later: a local time, or how long ago, such as 2h (default: 24h)",
    )
    .option("--until <time>", "only jobs that ended earlier")
    .option("--node <node>", "only jobs of this node")
    .option("--tenant <name>", "only jobs of this tenant");
}
