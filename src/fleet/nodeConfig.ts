import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { isNode, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { Refusal } from "../jobs/errors.ts";
import { ValueFault } from "../limits/units.ts";
import { parseWord, WORD } from "../policy/word.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { AGENT_DIRECTORY } from "./nodeFiles.ts";
import { isNodeName, NODE_NAME } from "./token.ts";

export { NODE_CONFIG_FILE } from "./nodeFiles.ts";
export { isNodeName, NODE_NAME };

/** The ring of a node that names none. */
export const DEFAULT_RING = "stable";

const token = z.string().refine(isNodeName, NODE_NAME);

const word = z.string().refine(isWord, `expected ${WORD}`);

/** A connection without TLS would show the results to everyone on its way, so it is for this machine only. */
const hubUrl = z
  .string()
  .refine(
    isHubUrl,
    "expected such as tls://hub.example:4222, or nats://127.0.0.1:4222 for a hub on this machine",
  );

// v: 1
// node: edge-17
// hub: [tls://hub.example:4222]
// nkey_file: node.nk
// ca_file: ca.pem
// labels: {site: ber}
// pools: [live]
// ring: stable
// directory: /etc/ffrtmp/fleet
const nodeConfig = z
  .strictObject({
    v: z.literal(1),
    node: token,
    /** The addresses of the servers of one hub. The client connects to any of them. */
    hub: z.array(hubUrl).min(1),
    /** The seed of the node's NKey (SU…). A relative path begins at the directory of this file. */
    nkey_file: z.string().min(1),
    /** The certificate of the hub's authority, as PEM. Absent: those that the system trusts. */
    ca_file: z.string().min(1).optional(),
    labels: z.record(word, word).default({}),
    pools: z.array(token).default([]),
    /** The policies of the fleet that are for this node, unless a signed document of the operator names another ring. */
    ring: token.default(DEFAULT_RING),
    /** Root's directory, with what this node accepts. Absent: that of this file. The agent may read a copy of this file. */
    directory: z.string().min(1).optional(),
    /** The agent's directory. A relative path begins at root's. */
    state_dir: z.string().min(1).default(AGENT_DIRECTORY),
  })
  .transform(({ nkey_file: nkeyFile, ca_file: caFile, state_dir: stateDirectory, ...rest }) => ({
    ...rest,
    nkeyFile,
    caFile,
    stateDirectory,
  }));

/** The content that `ffrtmp fleet join` writes as YAML. */
export type NodeConfigFile = z.input<typeof nodeConfig>;
export type NodeConfig = z.output<typeof nodeConfig> & { directory: string };

/** Reads the configuration of a node, with absolute paths. Throws a Refusal that names the file and the key at fault. */
export function readNodeConfig(file: string): NodeConfig {
  const config = parseFile(file, readConfigText(file));
  const from = dirname(file);
  const { nkeyFile, caFile, stateDirectory } = config;
  const directory = resolve(from, config.directory ?? ".");
  return {
    ...config,
    directory,
    // Not of the file: `ffrtmp watch` reads the original, and the agent a copy in another directory.
    stateDirectory: resolve(directory, stateDirectory),
    nkeyFile: resolve(from, nkeyFile),
    caFile: caFile === undefined ? undefined : resolve(from, caFile),
  };
}

/**
 * Returns the directory of the agent, in which its claims are, for the agent and for the runner. `named`: the option --agent-state.
 * Throws a Refusal where the option and the configuration name different ones: then one of the programs would look elsewhere.
 */
export function agentDirectory(
  config: Pick<NodeConfig, "stateDirectory"> | undefined,
  named: string | undefined,
): string {
  const configured = config?.stateDirectory ?? AGENT_DIRECTORY;
  if (named === undefined) return configured;
  const directory = resolve(named);
  if (configured !== AGENT_DIRECTORY && configured !== directory)
    throw new Refusal(
      `--agent-state ${named} is not the state_dir of this node's configuration, ${configured}`,
      "leave the option out; agent, runner and watch use the configured one",
    );
  return directory;
}

function readConfigText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Refusal(
      `cannot read the fleet configuration ${file}: ${describeErrno(error)}`,
      errnoOf(error) === "EACCES"
        ? "run it as root, or as a user of the group ffrtmp-fleet"
        : "join a fleet with ffrtmp fleet join, or name the file with --config",
    );
  }
}

function parseFile(file: string, text: string): z.output<typeof nodeConfig> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined)
    throw new Refusal(
      `${file}, line ${lines.linePos(error.pos[0]).line} is not YAML: ${error.message}`,
      HINT,
    );
  const { data, error: faults } = nodeConfig.safeParse(document.toJS());
  if (data !== undefined) return data;
  const texts = faults.issues.map((issue) => {
    // A key that may not be there is a fault of the mapping that has it.
    const [key] = issue.code === "unrecognized_keys" ? issue.keys : [];
    const path = key === undefined ? issue.path : [...issue.path, key];
    const { message } = key === undefined ? issue : { message: "this key is unknown" };
    const found = document.getIn(path, true);
    const line = isNode(found) && found.range ? `line ${lines.linePos(found.range[0]).line}, ` : "";
    return `${line}${path.join(".") || "the file"}: ${message}`;
  });
  throw new Refusal(`${file} is no fleet configuration: ${texts.join("; ")}`, HINT);
}

const HINT = "write it again with ffrtmp fleet join";

function isWord(text: string): boolean {
  try {
    parseWord(text);
    return true;
  } catch (error) {
    if (error instanceof ValueFault) return false;
    throw error;
  }
}

export function isHubUrl(text: string): boolean {
  const [, scheme, host, port] = /^(tls|nats):\/\/(\[[0-9a-f:]+\]|[^\s/:@[\]]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) return false;
  return scheme === "tls" || ["127.0.0.1", "[::1]", "localhost"].includes(host);
}
