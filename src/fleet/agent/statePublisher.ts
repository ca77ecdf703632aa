import type { NodeMessage } from "../messages/node.ts";
import type { NodeControl } from "./documentKeeper.ts";
import type { AgentLedger } from "./nodeLedger.ts";
import { type DispatchReport, describeNode, type NodeFacts, type SenderState } from "./nodeState.ts";

/** How often the state of the node is looked at, and published if it has changed. */
export const CHANGE_INTERVAL_MS = 10_000;
/** How often it is published although it has not changed. */
const ALIVE_INTERVAL_MS = 60_000;

/** Publishes the state of a node when it has changed, and at intervals as a sign of life. */
export class StatePublisher {
  readonly #facts: NodeFacts;
  readonly #ledger: AgentLedger;
  readonly #publish: (text: string, at: string) => void;
  /** The content that was published last, without its time. */
  #published = "";
  #publishedMs = Number.NEGATIVE_INFINITY;
  /** From what the state was described last, and when. */
  #source:
    | {
        stamp: string;
        sender: SenderState;
        control: NodeControl | undefined;
        dispatch: DispatchReport | undefined;
      }
    | undefined;
  #describedMs = Number.NEGATIVE_INFINITY;

  constructor(facts: NodeFacts, ledger: AgentLedger, publish: (text: string, at: string) => void) {
    this.#facts = facts;
    this.#ledger = ledger;
    this.#publish = publish;
  }

  /** Publishes at the next update: the hub may have lost the last state. */
  forget(): void {
    this.#publishedMs = Number.NEGATIVE_INFINITY;
  }

  /** Publishes the state if it is time to. Returns why the ledger could not be read; `undefined` where it was not read. */
  update(sender: SenderState, dispatch?: DispatchReport): string | undefined {
    const nowMs = performance.now();
    const mustShowLife = nowMs - this.#publishedMs >= ALIVE_INTERVAL_MS;
    if (!mustShowLife && nowMs - this.#describedMs < CHANGE_INTERVAL_MS) return undefined;
    const control = this.#facts.control?.();
    const source = { stamp: this.#ledger.stamp(), sender: { ...sender }, control, dispatch };
    if (!mustShowLife && Bun.deepEquals(source, this.#source)) return undefined;
    this.#source = source;
    this.#describedMs = nowMs;
    const message = { ...describeNode(this.#facts, this.#ledger, sender), ...dispatch };
    const content = contentOf(message);
    if (content !== this.#published || mustShowLife) {
      this.#publish(JSON.stringify(message), message.at);
      this.#published = content;
      this.#publishedMs = nowMs;
    }
    return message.fault ?? undefined;
  }
}

function contentOf({ at: _, ...rest }: NodeMessage): string {
  return JSON.stringify(rest);
}
