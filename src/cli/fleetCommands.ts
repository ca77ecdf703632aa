import type { Command } from "commander";
import type { CommandDefinition } from "./commandDefinition.ts";
import { parseLabel } from "./options/jobOptions.ts";

const JOIN_NOTE = `
The invite contains the key of the node, so another user must not see it. With
- it is read from stdin, and is in no list of processes and no shell history:
  ffrtmp fleet invite edge-1 | ssh root@edge-1 ffrtmp fleet join -`;

/** Commands for many machines. Those that read the hub need the operator's keys; `join` is for the machine that becomes a node. */
export const FLEET_COMMANDS: Record<string, CommandDefinition> = {
  init: {
    description: "make the keys, the certificates and the server configuration of a new fleet",
    define: (command) =>
      addDirOption(command).argument("<hub>", "address by which nodes reach the hub: HOST or HOST:PORT"),
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
    define: addDirOption,
    load: async () => (await import("./commands/fleet/setup.ts")).setUp,
  },
  invite: {
    description: "add a node, and print the invite with which a machine joins as this node",
    define: (command) =>
      addDirOption(command)
        .argument("<node>", "name of the node: letters, digits, - and _")
        .option("--renew", "give a node a new key; its old one is worth nothing from then on"),
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
        .option("--config <file>", "write this file (default: /etc/ffrtmp/fleet/node.yaml)")
        .addHelpText("after", JOIN_NOTE),
    load: async () => (await import("./commands/fleet/join.ts")).join,
  },
  revoke: {
    description: "cut a node off: its key is worth nothing from then on, and its jobs run on",
    define: (command) => addDirOption(command).argument("<node>", "name of the node"),
    load: async () => (await import("./commands/fleet/revoke.ts")).revoke,
  },
};

function addDirOption(command: Command): Command {
  return command.option(
    "--dir <dir>",
    "set the directory of the operator's keys (default: FFRTMP_FLEET, ~/.config/ffrtmp/fleet)",
  );
}
