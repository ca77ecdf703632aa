import { existsSync, rmSync } from "node:fs";
import { Refusal } from "../jobs/errors.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { type CordonFiles, cordonFiles, type LocalCordon, readCordon } from "./agent/cordon.ts";
import { NODE_CONFIG_FILE, readNodeConfig } from "./nodeConfig.ts";
import { writeWhole } from "./trust/durableFile.ts";

const AS_ROOT = "run it as root";

/** The cordon that root of this machine decides about, without the hub. */
export class OwnNode {
  readonly name: string;
  readonly #files: CordonFiles;

  /** Throws a Refusal on a machine that is no node. */
  constructor(configFile: string | undefined) {
    const file = configFile ?? NODE_CONFIG_FILE;
    if (configFile === undefined && !existsSync(file))
      throw new Refusal(
        "this machine is no node of a fleet",
        "on the operator's machine, name a node of the fleet",
      );
    const config = readNodeConfig(file);
    this.name = config.node;
    this.#files = cordonFiles(config);
  }

  cordon(reason: string, by: string): void {
    const cordon: LocalCordon = { v: 1, reason, by, at: new Date().toISOString() };
    try {
      writeWhole(this.#files.local, `${JSON.stringify(cordon)}\n`, 0o644);
    } catch (error) {
      throw new Refusal(`cannot write ${this.#files.local}: ${describeErrno(error)}`, AS_ROOT);
    }
  }

  /** Returns false where root had not cordoned this node. */
  uncordon(): boolean {
    try {
      rmSync(this.#files.local);
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw new Refusal(`cannot remove ${this.#files.local}: ${describeErrno(error)}`, AS_ROOT);
    }
  }

  /** Returns why the node claims no jobs; `undefined`: it may. */
  get cordoned() {
    return readCordon(this.name, this.#files);
  }
}
