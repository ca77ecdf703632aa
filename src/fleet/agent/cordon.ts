import { readFileSync } from "node:fs";
import * as z from "zod/mini";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { type DesiredBody, desiredBody } from "../messages/control.ts";
import { isDocumentFault, openDocument } from "../messages/signed.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import { desiredFile, localCordonFile, trustedFile } from "../nodeFiles.ts";
import { keptDocument } from "../trust/kept.ts";
import { readTrustedKeys } from "../trust/trustedKeys.ts";

/** Why a node claims no jobs. It ends and changes none. */
export interface Cordon {
  /** `node`: root has cordoned it here. `fleet`: an operator has, through the hub. */
  readonly from: "node" | "fleet";
  readonly by: string;
  readonly reason: string;
}

/** The files that decide whether a node is cordoned. */
export interface CordonFiles {
  /** See `localCordonFile`. */
  readonly local: string;
  /** See `desiredFile`. */
  readonly desired: string;
  /** See `trustedFile`. */
  readonly trusted: string;
}

/** Returns the files of a node. What claims jobs and what reports the node read the same ones. */
export function cordonFiles({
  directory,
  stateDirectory,
}: Pick<NodeConfig, "directory" | "stateDirectory">): CordonFiles {
  return {
    local: localCordonFile(directory),
    desired: desiredFile(stateDirectory),
    trusted: trustedFile(directory),
  };
}

// {"v": 1, "reason": "disk is being replaced", "by": "root", "at": "2026-11-28T03:00:00.000Z"}
const localCordon = z.object({
  v: z.literal(1),
  reason: z.string(),
  by: z.string(),
  at: z.iso.datetime(),
});

export type LocalCordon = z.output<typeof localCordon>;

/**
 * Returns why this node must not claim a job now; `undefined`: it may. Reads the files at each call, so that a change counts at
 * once, also one that was made without the hub. Root's own cordon comes first, whatever an operator wants of the node.
 */
export function readCordon(node: string, files: CordonFiles): Cordon | undefined {
  return readLocalCordon(files.local) ?? fleetCordon(readDesired(node, files));
}

/** A file that cannot be read is a cordon: root made it for that purpose. */
function readLocalCordon(file: string): Cordon | undefined {
  try {
    const { by, reason } = localCordon.parse(JSON.parse(readFileSync(file, "utf8")));
    return { from: "node", by, reason };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ENOTDIR") return undefined;
    const fault = errno === undefined ? "it was not written by ffrtmp" : describeErrno(error);
    return { from: "node", by: "root", reason: `${file} cannot be read: ${fault}` };
  }
}

/**
 * Returns what an operator wants of this node, from the document that the agent keeps. `undefined`: nothing, or its signer is
 * not trusted any more.
 */
export function readDesired(
  node: string,
  { desired, trusted }: Pick<CordonFiles, "desired" | "trusted">,
): DesiredBody | undefined {
  try {
    const { document } = keptDocument.parse(JSON.parse(readFileSync(desired, "utf8")));
    if (document === null) return undefined;
    const body = openDocument(document, "node", desiredBody, readTrustedKeys(trusted).keys);
    return isDocumentFault(body) || body.node !== node ? undefined : body;
  } catch {
    // The agent writes it again when it has read the document at the hub.
    return undefined;
  }
}

function fleetCordon(desired: DesiredBody | undefined): Cordon | undefined {
  if (desired === undefined || desired.cordon === null) return undefined;
  return { from: "fleet", by: desired.by, reason: desired.cordon.reason };
}
