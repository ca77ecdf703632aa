import type { FleetPolicyReport } from "../../daemon/policyStore.ts";
import { desiredBody, type PolicyBody, policyBody } from "../messages/control.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseJson } from "../messages/parseJson.ts";
import { isDocumentFault, openDocument } from "../messages/signed.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import { desiredFile, placedPolicyFile, trustedFile } from "../nodeFiles.ts";
import { readForeign } from "../trust/durableFile.ts";
import { compareWithKept, highestSerial, keep, keptDocument } from "../trust/kept.ts";
import { readTrustedKeys, type TrustedKeys } from "../trust/trustedKeys.ts";
import { judgePolicy } from "./judgePolicy.ts";
import { keptOf, type PolicyMemory, readMemory, writeMemory } from "./memory.ts";
import { digestOf } from "./selection.ts";

/** Why a node's own ffrtmp cannot use the text of a policy. `isForbidden`: no node may. */
export interface PolicyTextFault {
  readonly why: string;
  readonly isForbidden: boolean;
}

export interface FollowerOptions {
  readonly config: Pick<NodeConfig, "node" | "ring" | "directory" | "stateDirectory">;
  /** The file of its memory, in the state directory of `ffrtmp watch`. */
  readonly memoryFile: string;
  /** Returns why a policy cannot be used here; `undefined`: it can. */
  check(yaml: string): PolicyTextFault | undefined;
  /** Returns why another user can change a file of root's, which then is not believed; `undefined`: none can. */
  whyUntrusted(path: string): string | undefined;
  now(): number;
}

/** The policy of the fleet on this node now. */
export interface FleetPolicyReading {
  /** `undefined`: none of the fleet is in force. */
  readonly inForce: PolicyBody | undefined;
  readonly report: FleetPolicyReport;
}

/**
 * Reads the policies that the agent places, and decides which one is in force. The agent and the hub are not trusted: each
 * document is verified here, by the keys that root has named, and an older one than any before is never accepted.
 */
export class PolicyFollower {
  readonly #options: FollowerOptions;
  readonly #placed: string;
  readonly #desired: string;
  readonly #trusted: string;

  constructor(options: FollowerOptions) {
    this.#options = options;
    const { directory, stateDirectory } = options.config;
    this.#placed = placedPolicyFile(stateDirectory);
    this.#desired = desiredFile(stateDirectory);
    this.#trusted = trustedFile(directory);
  }

  /** The files whose change can change the reading. */
  get files(): string[] {
    return [this.#placed, this.#desired, this.#trusted];
  }

  /**
   * `isIgnored`: root keeps the local policy. `mayAccept`: a new policy is accepted and remembered; otherwise the reading is what
   * would be then, and nothing is written.
   */
  read({ isIgnored, mayAccept }: { isIgnored: boolean; mayAccept: boolean }): FleetPolicyReading {
    const { memoryFile } = this.#options;
    const { keys, fault } = this.#readTrusted();
    const read = readMemory(memoryFile);
    const memory = this.#updateDesired(read.memory, keys);
    const ring = this.#ringOf(memory, keys);
    const placed = readForeign(this.#placed, MAX_MESSAGE_BYTES);
    const sent = typeof placed === "object" && "bytes" in placed ? digestOf(placed.bytes) : null;
    const view = { keys, ring, sent };
    const stay = (state: FleetPolicyReport["state"], why: string | null) =>
      readingOf(memory, view, state, why);
    if (fault !== undefined) return withoutPolicy(stay("refused", fault));
    if (keys.size === 0)
      return withoutPolicy(
        stay("ignored", "this machine trusts no operator of a fleet: ffrtmp fleet trust KEY"),
      );
    if (isIgnored)
      return withoutPolicy(stay("ignored", "the policy file of this machine says fleet: ignore"));
    // Without it, an older policy would look like a new one.
    if (read.fault !== undefined)
      return stay("refused", `${read.fault}. To start again without it, remove it`);
    const finish = (result: FleetPolicyReading) => {
      if (mayAccept && memory !== read.memory) writeMemory(memoryFile, memory);
      return result;
    };
    const current = inForceOf(memory, keys);
    if (placed === "missing") return finish(stay(current === undefined ? "none" : "applied", null));
    if ("fault" in placed) return finish(stay("refused", `${this.#placed} ${placed.fault}`));
    const { node } = this.#options.config;
    const recipient = { node, ring, trusted: keys, kept: keptOf(memory, ring), nowMs: this.#options.now() };
    const verdict = judgePolicy(placed.bytes, recipient);
    // The node may have come back to this ring.
    if (verdict.verdict === "current")
      return this.#putInForce({ ...memory, in_force: ring }, view, verdict.serial, mayAccept);
    if (verdict.verdict !== "acceptable") {
      const subject = verdict.serial === undefined ? "the policy from the hub" : `serial ${verdict.serial}`;
      return finish(stay(verdict.verdict, `${subject}: ${verdict.why}`));
    }
    const { document, body } = verdict;
    const unusable = this.#options.check(body.yaml);
    if (unusable !== undefined)
      return finish(
        stay(unusable.isForbidden ? "refused" : "unsupported", `serial ${body.serial}: ${unusable.why}`),
      );
    const kept = keep(keptOf(memory, ring), document, body.serial);
    const rings = { ...memory.rings, [ring]: kept };
    return this.#putInForce({ ...memory, rings, in_force: ring }, view, body.serial, mayAccept);
  }

  /** A policy is not in force before it is remembered: after a restart, an older one would be accepted in its place. */
  #putInForce(accepted: PolicyMemory, of: Viewpoint, serial: number, mayAccept: boolean): FleetPolicyReading {
    const { memoryFile } = this.#options;
    const { memory } = readMemory(memoryFile);
    const mustWrite = mayAccept && !Bun.deepEquals(memory, accepted);
    const fault = mustWrite ? writeMemory(memoryFile, accepted) : undefined;
    return fault === undefined
      ? readingOf(accepted, of, "applied", null)
      : readingOf(memory, of, "refused", `serial ${serial}: ${fault}`);
  }

  #readTrusted(): TrustedKeys {
    const read = readTrustedKeys(this.#trusted);
    if (read.keys.size === 0) return read;
    const why = this.#options.whyUntrusted(this.#trusted);
    return why === undefined ? read : { keys: new Set(), fault: `no key is trusted: ${why}` };
  }

  /** Returns the memory with what the operator wants of this node now, or the same memory. */
  #updateDesired(memory: PolicyMemory, trusted: ReadonlySet<string>): PolicyMemory {
    const read = readForeign(this.#desired, MAX_MESSAGE_BYTES);
    if (typeof read === "string" || "fault" in read) return memory;
    const document = keptDocument.safeParse(parseJson(read.bytes)).data?.document ?? null;
    if (document === null) return memory;
    const body = openDocument(document, "node", desiredBody, trusted);
    if (isDocumentFault(body) || body.node !== this.#options.config.node) return memory;
    if (compareWithKept(memory.desired, document, body.serial, trusted) !== "newer") return memory;
    return { ...memory, desired: keep(memory.desired, document, body.serial) };
  }

  #ringOf({ desired }: PolicyMemory, trusted: ReadonlySet<string>): string {
    const { node, ring } = this.#options.config;
    if (desired.document === null) return ring;
    const body = openDocument(desired.document, "node", desiredBody, trusted);
    return isDocumentFault(body) || body.node !== node ? ring : (body.ring ?? ring);
  }
}

/** The signature counts now: a policy of a signer who is not trusted any more is not in force. */
function inForceOf(memory: PolicyMemory, trusted: ReadonlySet<string>): PolicyBody | undefined {
  const document = memory.in_force === null ? null : keptOf(memory, memory.in_force).document;
  if (document === null) return undefined;
  const body = openDocument(document, "policy", policyBody, trusted);
  return isDocumentFault(body) ? undefined : body;
}

/** From where a memory is read: the keys that root trusts now, the ring of the node, and the digest of what was sent last. */
interface Viewpoint {
  readonly keys: ReadonlySet<string>;
  readonly ring: string;
  readonly sent: string | null;
}

function readingOf(
  memory: PolicyMemory,
  { keys, ring, sent }: Viewpoint,
  state: FleetPolicyReport["state"],
  why: string | null,
): FleetPolicyReading {
  const inForce = inForceOf(memory, keys);
  const highest = highestSerial(keptOf(memory, ring), keys);
  const own = { ring, in_force_ring: inForce?.ring ?? null, serial: inForce?.serial ?? null, highest };
  return { inForce, report: { ...own, sent, state, why } };
}

/** Root keeps the policy of the machine in force. */
function withoutPolicy({ report }: FleetPolicyReading): FleetPolicyReading {
  return { inForce: undefined, report: { ...report, serial: null, in_force_ring: null } };
}
