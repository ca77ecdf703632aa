import { mkdirSync, readFileSync } from "node:fs";
import { describeErrno } from "../../sys/errno.ts";
import { desiredBody } from "../messages/control.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseJson } from "../messages/parseJson.ts";
import { isDocumentFault, openDocument, signedDocument } from "../messages/signed.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import { placedPolicyFile } from "../nodeFiles.ts";
import { writeWhole } from "../trust/durableFile.ts";
import {
  compareWithKept,
  highestSerial,
  type Kept,
  keep,
  keptDocument,
  NOTHING_KEPT,
} from "../trust/kept.ts";
import { readTrustedKeys } from "../trust/trustedKeys.ts";
import { type Cordon, type CordonFiles, cordonFiles, readCordon, readDesired } from "./cordon.ts";

/** Files of the agent that `ffrtmp watch` and the operator of the machine read. */
const FILE_MODE = 0o644;

/** The wishes of root and of the fleet's operator for this node. */
export interface NodeControl {
  readonly ring: string;
  readonly cordoned: Cordon | null;
  /** The highest serial of a document about this node that was accepted; 0: none. */
  readonly desired: number;
}

/**
 * Keeps the documents of the fleet in the agent's directory. It believes nothing that is not signed, and decides nothing about
 * policies: `ffrtmp watch` does.
 */
export class DocumentKeeper {
  readonly #config: Pick<NodeConfig, "node" | "ring" | "directory" | "stateDirectory">;
  readonly #files: CordonFiles;

  constructor(config: Pick<NodeConfig, "node" | "ring" | "directory" | "stateDirectory">) {
    this.#config = config;
    this.#files = cordonFiles(config);
  }

  /** Returns the ring whose policy the node is to have. */
  get ring(): string {
    return readDesired(this.#config.node, this.#files)?.ring ?? this.#config.ring;
  }

  control(): NodeControl {
    const kept = readKept(this.#files.desired);
    const { keys } = readTrustedKeys(this.#files.trusted);
    return {
      ring: this.ring,
      cordoned: readCordon(this.#config.node, this.#files) ?? null,
      desired: typeof kept === "string" ? 0 : highestSerial(kept, keys),
    };
  }

  /** Places a policy for `ffrtmp watch`, as the hub sent it. Returns why it could not; `undefined`: it is there. */
  placePolicy(bytes: Uint8Array): string | undefined {
    if (bytes.length > MAX_MESSAGE_BYTES) return `a policy of ${bytes.length} bytes is too long`;
    const file = placedPolicyFile(this.#config.stateDirectory);
    // The same bytes again would make `ffrtmp watch` read them again.
    return hasContent(file, bytes) ? undefined : this.#write(file, bytes);
  }

  /**
   * Keeps a document about this node, if it is signed by an operator whom root trusts, and newer than any before. Returns why
   * not; `undefined`: it is kept, or was before.
   */
  keepDesired(bytes: Uint8Array): string | undefined {
    const { desired: file, trusted } = this.#files;
    const { keys, fault } = readTrustedKeys(trusted);
    const { data: document } = signedDocument.safeParse(parseJson(bytes));
    if (document === undefined) return "the document about this node is no signed document of this release";
    const body = openDocument(document, "node", desiredBody, keys);
    if (isDocumentFault(body)) return `the document about this node is not accepted: ${fault ?? body.why}`;
    if (body.node !== this.#config.node) return `the document about this node is about ${body.node}`;
    const kept = readKept(file);
    if (typeof kept === "string") return kept;
    const order = compareWithKept(kept, document, body.serial, keys);
    if (order === "older")
      return `the document about this node, serial ${body.serial}, is older than one before`;
    return order === "same"
      ? undefined
      : this.#write(file, JSON.stringify(keep(kept, document, body.serial)));
  }

  #write(file: string, content: string | Uint8Array): string | undefined {
    try {
      mkdirSync(this.#config.stateDirectory, { recursive: true, mode: 0o755 });
      writeWhole(file, content, FILE_MODE);
      return undefined;
    } catch (error) {
      return `${file} cannot be written: ${describeErrno(error)}`;
    }
  }
}

/** A file that is damaged hides which serials were accepted: no document is newer then. */
function readKept(file: string): Kept | string {
  try {
    return keptDocument.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return NOTHING_KEPT;
    return `${file} cannot be read. To start again without it, remove it`;
  }
}

function hasContent(file: string, bytes: Uint8Array): boolean {
  try {
    return readFileSync(file).equals(bytes);
  } catch {
    return false;
  }
}
