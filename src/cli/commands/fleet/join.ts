import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname, join as joinPath, resolve } from "node:path";
import { stringify } from "yaml";
import { connectToHub, HubRefusal } from "../../../fleet/hub/connection.ts";
import { type Invite, parseInvite } from "../../../fleet/hub/invite.ts";
import { writeAllPrivate } from "../../../fleet/keys/privateFile.ts";
import { inboxPrefix } from "../../../fleet/messages/subjects.ts";
import { DEFAULT_RING, NODE_CONFIG_FILE, type NodeConfigFile } from "../../../fleet/nodeConfig.ts";
import { trustedFile } from "../../../fleet/nodeFiles.ts";
import { writeTrustedKeys } from "../../../fleet/trust/trustedKeys.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { ROOT_STATE } from "../../../ledger/location.ts";
import { GROUPS_FILE, IdNames, readNames } from "../../../linux/proc/idNames.ts";
import { describeErrno } from "../../../sys/errno.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";

interface JoinFlags {
  config?: string;
  label?: Record<string, string>;
  offline?: boolean;
  replace?: boolean;
  start?: boolean;
  /** False with --no-policy. */
  policy?: boolean;
  ring?: string;
}

/** The group of the agent, which reads the key. Without it, root alone does. */
const AGENT_GROUP = "ffrtmp-fleet";
/** The group that may read the ledger, to which the agent's service belongs. */
const LEDGER_GROUP = "ffrtmp";
/** It follows the policies of the fleet from its next start on. */
const WATCH_RESTART = ["systemctl", "try-restart", "ffrtmp-watch"];
const AGENT_SERVICE = "ffrtmp-fleet-agent";
const [KEY_FILE, AUTHORITY_FILE] = ["node.nk", "ca.pem"] as const;

/** Makes this machine a node. `text`: an invite, or `-` to read it from stdin, which keeps it out of lists of processes. */
export async function join(text: string, flags: JoinFlags): Promise<number> {
  if (text === "-" && process.stdin.isTTY) printErr("paste the invite, then press Enter and Ctrl-D");
  const invite = parseInvite(text === "-" ? await Bun.stdin.text() : text);
  const file = flags.config ?? NODE_CONFIG_FILE;
  if (existsSync(file) && !flags.replace)
    throw new Refusal(
      `this machine is a node already: ${file} exists`,
      "to make it another node, add --replace",
    );
  if (!flags.offline) await check(invite);
  const trusted = flags.policy === false ? null : invite.policyKey;
  write(file, invite, { labels: flags.label ?? {}, ring: flags.ring ?? DEFAULT_RING, trusted });
  printOut(oneLine(`this machine is node ${invite.node} of the fleet at ${invite.hub.join(", ")}`));
  const names = [KEY_FILE, AUTHORITY_FILE, ...(trusted === null ? [] : ["trusted"])];
  printErr(oneLine(`  written: ${file}, with ${names.join(", ")} beside it`));
  if (trusted !== null)
    printErr(
      "  its ffrtmp watch follows the policies that this fleet's operator signs: fleet: ignore in its policy file ends that",
    );
  const steps = nextSteps(flags.replace ?? false);
  if (flags.start) for (const step of steps) take(step);
  else
    for (const [index, { why, commands }] of steps.entries())
      printErr(
        `  ${index === 0 ? "next" : "then"}${why}: ${commands.map((words) => words.join(" ")).join(" && ")}`,
      );
  if (flags.offline) warn("the connection was not checked");
  return 0;
}

/** Commands that root still has to run, with their reason. After all of them, the agent runs. */
interface Step {
  readonly why: string;
  readonly commands: readonly (readonly string[])[];
}

function nextSteps(isReplaced: boolean): Step[] {
  const hasReaders = readNames(GROUPS_FILE)?.has(LEDGER_GROUP) ?? false;
  const share = {
    why: ", so that the agent may read the ledger",
    commands: [
      // First: systemd takes the directory away from the group when it starts this service.
      WATCH_RESTART,
      ["groupadd", "--system", LEDGER_GROUP],
      ["chgrp", "-R", LEDGER_GROUP, ROOT_STATE],
      ["chmod", "2750", ROOT_STATE],
    ],
  };
  const start = {
    why: "",
    commands: [
      ["systemctl", "enable", "--now", AGENT_SERVICE],
      // A running agent keeps the key that it has read.
      ...(isReplaced ? [["systemctl", "restart", AGENT_SERVICE]] : []),
    ],
  };
  return hasReaders ? [{ why: "", commands: [WATCH_RESTART, ...start.commands] }] : [share, start];
}

/** Runs the commands of a step, and says which. Throws a Refusal at the first one that fails. */
function take({ commands }: Step): void {
  for (const words of commands) {
    const line = words.join(" ");
    printErr(`  running: ${line}`);
    const ended = run(words);
    if (ended !== undefined)
      throw new Refusal(
        `this machine is a node, but its agent was not started: ${line}: ${ended}`,
        "correct that, then run this command and those that follow in docs/fleet-results.md",
      );
  }
}

/** Returns why a command failed, or `undefined`. */
function run(words: readonly string[]): string | undefined {
  try {
    const { exitCode, stderr } = Bun.spawnSync([...words], { stdio: ["ignore", "ignore", "pipe"] });
    return exitCode === 0 ? undefined : stderr.toString().trim().split("\n")[0] || `exit ${exitCode}`;
  } catch (error) {
    return describeErrno(error);
  }
}

/** Connects once, as the agent will. Throws a Refusal, and then nothing has been written. */
async function check({ node, hub, seed, authority }: Invite): Promise<void> {
  try {
    const connection = await connectToHub({
      hub,
      seed,
      authority,
      inboxPrefix: inboxPrefix(node),
      name: node,
    });
    await connection.close();
  } catch (error) {
    if (!(error instanceof HubRefusal)) throw error;
    const hint = {
      unreachable: "; to join without this check, add --offline",
      untrusted: "",
      "unknown key": "",
    };
    throw new Refusal(`cannot join: ${error.message}`, `${error.hint}${hint[error.fault]}`);
  }
}

interface NodeChoices {
  readonly labels: Record<string, string>;
  readonly ring: string;
  /** The key whose policies the node accepts; `null`: it accepts none. */
  readonly trusted: string | null;
}

/** Writes all files or none. The configuration takes its name last, because it is what makes the machine a node. */
function write(
  file: string,
  { node, hub, seed, authority, pools }: Invite,
  { labels, ring, trusted }: NodeChoices,
): void {
  const directory = dirname(file);
  const names = { nkey_file: KEY_FILE, ca_file: AUTHORITY_FILE };
  const of = { labels, pools: [...pools], ring, directory: resolve(directory) };
  const config: NodeConfigFile = { v: 1, node, hub: [...hub], ...names, ...of };
  const gid = new IdNames(GROUPS_FILE).idOf(AGENT_GROUP, Date.now());
  const reader = gid === undefined ? {} : { gid };
  try {
    makePublicDirectory(directory);
    const files = [
      [joinPath(directory, KEY_FILE), `${seed}\n`],
      [joinPath(directory, AUTHORITY_FILE), authority],
      [file, stringify(config)],
    ] as const;
    writeAllPrivate(files, reader);
    // It replaces the keys of an earlier fleet. Every user may read it: the agent has none of root's rights.
    if (trusted === null) rmSync(trustedFile(directory), { force: true });
    else
      writeTrustedKeys(trustedFile(directory), [`# the operator of the fleet at ${hub.join(", ")}`, trusted]);
  } catch (error) {
    throw new Refusal(
      `cannot write ${directory}: ${describeErrno(error)}`,
      "run it as root: sudo ffrtmp fleet join -",
    );
  }
}

/** The agent has none of root's rights, and reads there what root has decided. The umask of root would hide it. */
function makePublicDirectory(directory: string): void {
  const first = mkdirSync(directory, { recursive: true });
  if (first === undefined) return;
  for (let each = resolve(directory); each.length >= resolve(first).length; each = dirname(each))
    chmodSync(each, 0o755);
}
