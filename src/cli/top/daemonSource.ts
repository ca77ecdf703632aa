import { version } from "../../../package.json";
import { askDaemon, type NoAnswer } from "../../daemon/askDaemon.ts";
import type { JobViewJson, SnapshotJson } from "../../json/snapshotSchemas.ts";
import type { StateFiles } from "../../ledger/location.ts";

/** A daemon that has answered may take as long on a busy machine. */
const USUAL_TIMEOUT_MS = 1000;
/** The first screen does not wait longer for a daemon. */
const FIRST_TIMEOUT_MS = 300;
/** One that does not answer is asked again after this time: a question costs its timeout. */
const SILENT_PAUSE_MS = 5000;
/** One that refuses the request is of another version, and needs a restart. */
const REFUSED_PAUSE_MS = 60_000;

/** `refused`: it does not know the request. `other-version`: its answer may mean something else. */
type Failure = NoAnswer | "refused" | "other-version";

const REASONS: Record<Failure, string | undefined> = {
  absent: "has ended",
  silent: "does not answer",
  refused: "is of another version",
  "other-version": "is of another version",
  // A user without the right to ask measures as well as a daemon does.
  forbidden: undefined,
};

/** Asks the daemon for what it has measured. */
export class DaemonSource {
  readonly #state: StateFiles;
  #isAnswering = false;
  #hasAnswered = false;
  #failure: Failure = "absent";
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(state: StateFiles) {
    this.#state = state;
  }

  /** Returns a snapshot; `undefined`: the daemon does not give one, or was asked in vain a moment ago. */
  async ask(): Promise<SnapshotJson | undefined> {
    if (performance.now() < this.#nextMs) return undefined;
    const timeoutMs = this.#isAnswering ? USUAL_TIMEOUT_MS : FIRST_TIMEOUT_MS;
    const answer = await askDaemon(this.#state, { request: "snapshot" }, timeoutMs);
    const snapshot =
      typeof answer === "object" && answer.ok ? (answer["snapshot"] as SnapshotJson) : undefined;
    this.#isAnswering = snapshot?.ffrtmp_version === version;
    if (this.#isAnswering) {
      this.#hasAnswered = true;
      return snapshot;
    }
    this.#failure =
      snapshot !== undefined ? "other-version" : typeof answer === "string" ? answer : "refused";
    const pauseMs = { absent: 0, forbidden: REFUSED_PAUSE_MS, silent: SILENT_PAUSE_MS };
    this.#nextMs =
      performance.now() + (this.#failure in pauseMs ? pauseMs[this.#failure as NoAnswer] : REFUSED_PAUSE_MS);
    return undefined;
  }

  /** Why the screen does not show the measurements of a daemon that should give them. `null`: there is none, or it does. */
  get note(): string | null {
    const reason = this.#isAnswering ? undefined : REASONS[this.#failure];
    const isExpected = this.#failure !== "absent" || this.#hasAnswered;
    return reason === undefined || !isExpected ? null : `ffrtmp watch ${reason}: measured here`;
  }

  /** Returns the last 10 minutes of a job that the daemon observes, in the stored form. */
  async historyOf(key: JobViewJson["job_id"]): Promise<Uint8Array | undefined> {
    if (!this.#isAnswering) return undefined;
    const answer = await askDaemon(this.#state, { request: "usage", job: key }, USUAL_TIMEOUT_MS);
    if (typeof answer === "string" || !answer.ok) return undefined;
    const ring = (answer["rings"] as Record<string, unknown> | undefined)?.["tenMinutes"];
    return typeof ring === "string" ? Buffer.from(ring, "base64") : undefined;
  }
}
