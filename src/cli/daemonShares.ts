import { askDaemon } from "../daemon/askDaemon.ts";
import type { Context } from "../jobs/context.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import type { JobShares } from "../metrics/shares/jobShares.ts";
import type { Need } from "../metrics/shares/need.ts";
import { MAX_EXACT_SECONDS } from "../metrics/shares/needText.ts";

export type SharesByKey = Partial<Record<string, JobShares | null>>;

/** The interval at which the daemon computes them. */
const RENEW_MS = 10_000;
const ANSWER_TIMEOUT_MS = 300;

/**
 * Completes measurements with the shares that the daemon knows: it has seen the jobs for longer. Without a daemon, or for
 * another user than its own, they are those of the measurements here.
 */
export class DaemonShares {
  readonly #context: Context;
  #shares: SharesByKey = {};
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(context: Context) {
    this.#context = context;
  }

  async complete(uses: readonly JobUse[]): Promise<JobUse[]> {
    await this.#renew();
    return uses.map((use) => {
      const known = this.#shares[use.job.key];
      if (!known || use.shares === null) return use;
      const { sureCores, need } = use.shares;
      return {
        ...use,
        shares: {
          ...known,
          sureCores: known.sureCores ?? sureCores,
          need: betterOf(known.need, need),
        },
      };
    });
  }

  async #renew(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#askedMs < RENEW_MS) return;
    this.#askedMs = nowMs;
    this.#shares = await askShares(this.#context);
  }
}

/** Asks the daemon for the shares of jobs, by their keys. Without its answer, nothing is known. */
export async function askShares({ state }: Pick<Context, "state">): Promise<SharesByKey> {
  const answer = await askDaemon(state, { request: "shares" }, ANSWER_TIMEOUT_MS);
  return typeof answer === "string" || !answer.ok ? {} : ((answer["shares"] ?? {}) as SharesByKey);
}

/** The daemon has seen a job for longer, and here it may have been measured more often. */
function betterOf(known: Need | null, own: Need | null): Need | null {
  if (known === null || own === null) return known ?? own;
  return own.sampleSeconds <= MAX_EXACT_SECONDS && known.sampleSeconds > MAX_EXACT_SECONDS ? own : known;
}
