import type { Hub } from "./hub.ts";
import type { DispatchReport } from "./nodeState.ts";

/** How soon root's permission is noticed. */
const LOOK_INTERVAL_MS = 10_000;
const OFF: DispatchReport = { capacity: null, accepts: null, dispatch: { state: "off", why: null } };

/** The state of a connection, for the dispatcher. */
export interface DispatchConnection {
  readonly isConnected: boolean;
  /** Rises with each return of the connection. */
  readonly epoch: number;
  /** Why no job can be taken over it; `undefined`: one can. */
  readonly refusal: string | undefined;
}

/** The part of the agent that takes jobs of the fleet. */
export interface AgentDispatch {
  readonly report: DispatchReport;
  wake(): void;
  serve(connection: DispatchConnection, hub: Hub, isOpen: () => boolean): Promise<void>;
}

/** Loads the dispatcher when there is something for it to do: an agent without jobs of the fleet is smaller without its code. */
export class DispatchOnDemand implements AgentDispatch {
  readonly #isWanted: () => boolean;
  readonly #load: () => Promise<AgentDispatch>;
  #loaded: AgentDispatch | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(isWanted: () => boolean, load: () => Promise<AgentDispatch>) {
    this.#isWanted = isWanted;
    this.#load = load;
  }

  get report(): DispatchReport {
    if (this.#loaded !== undefined) return this.#loaded.report;
    // What is not loaded yet has not said which claims there are.
    return this.#isWanted() ? OFF : { ...OFF, claims: { known: 0, confirmed: null } };
  }

  wake(): void {
    this.#wake.resolve();
    this.#loaded?.wake();
  }

  async serve(connection: DispatchConnection, hub: Hub, isOpen: () => boolean): Promise<void> {
    while (this.#loaded === undefined && isOpen()) {
      this.#wake = Promise.withResolvers();
      if (this.#isWanted()) this.#loaded = await this.#load();
      else await this.#pause();
    }
    await this.#loaded?.serve(connection, hub, isOpen);
  }

  async #pause(): Promise<void> {
    const timer = setTimeout(() => this.#wake.resolve(), LOOK_INTERVAL_MS);
    await this.#wake.promise;
    clearTimeout(timer);
  }
}
