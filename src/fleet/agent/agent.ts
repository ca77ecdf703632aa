import { ResultSender } from "../chain/sender.ts";
import { Backoff } from "./backoff.ts";
import type { AgentDispatch, DispatchConnection } from "./dispatchOnDemand.ts";
import { DocumentFollower } from "./documentFollower.ts";
import type { DocumentKeeper } from "./documentKeeper.ts";
import { FaultLog, messageOf } from "./faultLog.ts";
import { Hub, isKeyRefused } from "./hub.ts";
import { Interruption } from "./interruption.ts";
import { type AgentLedger, LedgerFault } from "./nodeLedger.ts";
import type { NodeFacts, SenderState } from "./nodeState.ts";
import { CHANGE_INTERVAL_MS, StatePublisher } from "./statePublisher.ts";

/** Results of jobs that end within this time share a message. */
const GATHER_MS = 500;
/**
 * The pause after a message that was stored. The first result after a pause leaves at once, and those of a node on which a job
 * ends every few seconds share messages: each one costs the hub a write to its disk.
 */
const PACE_MS = 10_000;
/** The pause after a failure, and while a ledger is refused or cannot be read. */
const RETRY_MS = 5000;
/** The longest pause while the hub does not store results. Each try sends up to 256 KiB, and all nodes of a full hub try. */
const MAX_RETRY_MS = 120_000;
/** How often the last message on the hub is read again although nothing was lost. */
const CONFIRM_INTERVAL_MS = 600_000;
/** The messages that are sent before the state of the node is looked at again. */
const MAX_STEPS = 25;
const FIRST_CONNECT_WAIT_MS = 1000;
const MAX_CONNECT_WAIT_MS = 15_000;
/** A node that was revoked stays so, in general. The hub logs each of its tries. */
const MAX_REFUSED_WAIT_MS = 300_000;

export interface AgentOptions {
  facts: NodeFacts;
  ledger: AgentLedger;
  /** Where the documents of the fleet are kept. */
  documents: DocumentKeeper;
  /** The seed of the node's NKey (SU…). */
  seed: string;
  /** Takes jobs of the fleet. */
  dispatcher: AgentDispatch;
  /** Writes one line for the operator. */
  log(text: string): void;
}

/**
 * Reports the node to the hub, sends its results and claims jobs for the runner, until it is stopped. It starts, limits and ends no
 * process.
 */
export class FleetAgent {
  readonly #options: AgentOptions;
  readonly #stopped = new Interruption();
  #isStopped = false;
  #wake = Promise.withResolvers<void>();
  readonly #state: SenderState = { sent: undefined, isDiverged: false, fault: undefined };
  /** When results may be sent again. */
  #sendAtMs = 0;
  readonly #retry = new Backoff(RETRY_MS, MAX_RETRY_MS);
  readonly #faults: FaultLog;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#faults = new FaultLog(options.log);
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopped.fire();
    this.#options.dispatcher.wake();
  }

  /** Connects, and again whenever the client gives a connection up. Returns after `stop`. */
  async run(): Promise<void> {
    const waits = {
      unreachable: new Backoff(FIRST_CONNECT_WAIT_MS, MAX_CONNECT_WAIT_MS),
      refused: new Backoff(FIRST_CONNECT_WAIT_MS, MAX_REFUSED_WAIT_MS),
    };
    while (!this.#isStopped) {
      const hub = await this.#connect();
      if (!(hub instanceof Hub)) {
        await this.#pause(waits[hub].nextMs());
        continue;
      }
      for (const wait of Object.values(waits)) wait.reset();
      const watch = this.#options.ledger.watch(() => this.#wake.resolve());
      try {
        await this.#serve(hub);
      } finally {
        watch?.close();
        await hub.close();
      }
    }
  }

  async #connect(): Promise<Hub | "unreachable" | "refused"> {
    const { facts, seed, log } = this.#options;
    try {
      const hub = await Hub.connect(facts.config, seed);
      this.#faults.clear();
      log(`connected to the fleet's hub as node ${facts.config.node}`);
      return hub;
    } catch (error) {
      const urls = facts.config.hub.join(", ");
      const isRefused = isKeyRefused(error);
      this.#faults.report(
        isRefused
          ? `the fleet's hub ${urls} does not accept the key of node ${facts.config.node}: the node was revoked or renewed. ` +
              "Join again with a new invite: ffrtmp fleet join --replace -"
          : `cannot connect to the fleet's hub ${urls}: ${messageOf(error)}`,
      );
      return isRefused ? "refused" : "unreachable";
    }
  }

  /** Works with a connection until the client gives it up, or the agent is stopped. */
  async #serve(hub: Hub): Promise<void> {
    const { ledger, facts, dispatcher } = this.#options;
    const sender = new ResultSender(hub, ledger.readSource, facts.bootId);
    const publisher = new StatePublisher(facts, ledger, (text, at) => hub.publishNode(text, at));
    const documents = this.#followDocuments(hub, publisher);
    const closed = this.#follow(hub, sender, publisher, documents);
    let isOpen = true;
    void closed.finally(() => {
      isOpen = false;
      this.#wake.resolve();
      dispatcher.wake();
    });
    const state = this.#state;
    const connection: DispatchConnection = {
      get isConnected() {
        return hub.isConnected;
      },
      get epoch() {
        return hub.epoch;
      },
      get refusal() {
        return hub.lacksDispatch ?? (state.isDiverged ? state.fault : undefined);
      },
    };
    const dispatching = dispatcher.serve(connection, hub, () => isOpen && !this.#isStopped);
    let confirmAtMs = performance.now() + CONFIRM_INTERVAL_MS;
    this.#sendAtMs = 0;
    /** The ledger when the hub had all of it; `undefined`: the hub may lack something. */
    let settled: string | undefined;
    while (isOpen && !this.#isStopped) {
      this.#wake = Promise.withResolvers();
      if (performance.now() >= confirmAtMs) {
        sender.forget();
        documents.refresh();
        confirmAtMs = performance.now() + CONFIRM_INTERVAL_MS;
      }
      const stamp = ledger.stamp();
      if (stamp !== settled || sender.sent === undefined) settled = undefined;
      if (hub.isConnected && settled === undefined && performance.now() >= this.#sendAtMs) {
        if (await this.#sendResults(sender)) settled = stamp;
      }
      if (hub.isConnected) this.#publishState(sender, publisher);
      const mustSend = hub.isConnected && settled === undefined;
      const waitMs = mustSend ? this.#sendAtMs - performance.now() : CHANGE_INTERVAL_MS;
      await Promise.race([this.#wake.promise, this.#pause(Math.min(waitMs, CHANGE_INTERVAL_MS))]);
      // Many changes can come at once.
      await this.#pause(GATHER_MS);
    }
    await dispatching;
  }

  #followDocuments(hub: Hub, publisher: StatePublisher): DocumentFollower {
    const { facts, documents } = this.#options;
    let known = JSON.stringify(documents.control());
    const follower = new DocumentFollower(facts.config.node, hub, documents, {
      changed: () => {
        const now = JSON.stringify(documents.control());
        if (now === known) return;
        known = now;
        publisher.forget();
        this.#wake.resolve();
      },
      fault: (text) => this.#faults.report(text),
    });
    follower.start();
    return follower;
  }

  async #follow(
    hub: Hub,
    sender: ResultSender,
    publisher: StatePublisher,
    documents: DocumentFollower,
  ): Promise<void> {
    const { log } = this.#options;
    await hub.follow({
      loss: () => {
        sender.forget();
        log("the connection to the hub is lost: results wait in the ledger");
      },
      return: () => {
        sender.forget();
        publisher.forget();
        documents.refresh();
        this.#sendAtMs = 0;
        this.#retry.reset();
        log("the connection to the hub is back");
        this.#wake.resolve();
        this.#options.dispatcher.wake();
      },
      error: (error) => this.#faults.report(`the hub reports: ${messageOf(error)}`),
    });
  }

  /** Sends what waits, and sets when to send again. Returns false where more may wait. */
  async #sendResults(sender: ResultSender): Promise<boolean> {
    const state = this.#state;
    const wait = (ms: number) => {
      this.#sendAtMs = performance.now() + ms;
    };
    let pauseMs = GATHER_MS;
    try {
      for (let steps = 0; steps < MAX_STEPS && !this.#isStopped; steps++) {
        const step = await sender.step();
        state.isDiverged = step.kind === "diverged";
        if (step.kind === "diverged") {
          state.fault =
            `the hub has results of this ledger up to number ${step.hubTo} that are not in it (its last number is ` +
            `${step.lastSeq}): it was cloned, or restored from a backup`;
          this.#faults.report(
            `no result is sent: ${state.fault}. To send all as those of a new ledger: ffrtmp fleet resend --all`,
          );
          wait(RETRY_MS);
          return false;
        }
        if (step.kind === "sent" || step.kind === "idle") {
          if (state.fault !== undefined) this.#faults.clear();
          state.fault = undefined;
          this.#retry.reset();
        }
        if (step.kind === "sent") pauseMs = PACE_MS;
        wait(step.kind === "idle" ? pauseMs : GATHER_MS);
        if (step.kind !== "sent") return step.kind === "idle";
      }
    } catch (error) {
      state.fault = messageOf(error);
      const isLocal = error instanceof LedgerFault;
      this.#faults.report(isLocal ? state.fault : `results wait in the ledger: ${state.fault}`);
      wait(isLocal ? RETRY_MS : this.#retry.nextMs());
    }
    return false;
  }

  #publishState(sender: ResultSender, publisher: StatePublisher): void {
    this.#state.sent = sender.sent;
    try {
      const fault = publisher.update(this.#state, this.#options.dispatcher.report);
      if (fault !== undefined) this.#faults.report(fault);
    } catch (error) {
      // The connection was closed meanwhile, or the hub takes smaller messages only.
      this.#faults.report(`cannot report the state of this node: ${messageOf(error)}`);
    }
  }

  /** Waits, and not after `stop`. */
  async #pause(ms: number): Promise<void> {
    if (ms > 0 && !this.#isStopped) await this.#stopped.sleep(ms);
  }
}
