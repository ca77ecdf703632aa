import { existsSync, rmSync } from "node:fs";
import { Refusal } from "../jobs/errors.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { type LocalCordon, readCordon } from "./agent/cordon.ts";
import { NODE_CONFIG_FILE, readNodeConfig } from "./nodeConfig.ts";
import { desiredFile, localCordonFile, trustedFile } from "./nodeFiles.ts";
import { writeWhole } from "./trust/durableFile.ts";

const AS_ROOT = "run it as root";

/** The cordon that root of this machine decides about, without the hub. */
export class OwnNode {
  readonly name: string;
  readonly #cordon: string;
  readonly #desired: string;
  readonly #trusted: string;

  /** Throws a Refusal on a machine that is no node. */
  constructor(configFile: string | undefined) {
    const file = configFile ?? NODE_CONFIG_FILE;
    if (configFile === undefined && !existsSync(file))
      throw new Refusal(
        "this machine is no node of a fleet",
        "on the operator's machine, name a node of the fleet",
      );
    const { node, directory, stateDirectory } = readNodeConfig(file);
    this.name = node;
    this.#cordon = localCordonFile(directory);
    this.#desired = desiredFile(stateDirectory);
    this.#trusted = trustedFile(directory);
  }

  cordon(reason: string, by: string): void {
    const cordon: LocalCordon = { v: 1, reason, by, at: new Date().toISOString() };
    try {
      writeWhole(this.#cordon, `${JSON.stringify(cordon)}\n`, 0o644);
    } catch (error) {
      throw new Refusal(`cannot write ${this.#cordon}: ${describeErrno(error)}`, AS_ROOT);
    }
  }

  /** Returns false where root had not cordoned this node. */
  uncordon(): boolean {
    try {
      rmSync(this.#cordon);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw new Refusal(`cannot remove ${this.#cordon}: ${describeErrno(error)}`, AS_ROOT);
    }
  }

  /** Returns why the node claims no jobs; `undefined`: it may. */
  get cordoned() {
    return readCordon(this.name, { local: this.#cordon, desired: this.#desired, trusted: this.#trusted });
  }
}
