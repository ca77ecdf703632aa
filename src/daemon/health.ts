import { isoTime } from "../jobs/json.ts";
import { isObserved } from "../jobs/recovery/recover.ts";
import type { EventSource } from "../linux/events/processEvents.ts";
import type { JobUse } from "../metrics/jobUse.ts";
import { shortfallTextOf } from "../metrics/shares/shortfall.ts";
import type { DaemonContext } from "./daemonContext.ts";
import type { HealthProblem } from "./status.ts";

/** The time for which a single occurrence counts as a problem. */
const RECENT_MS = 600_000;
const RECENTLY = "in the last 10 minutes";

const METER_UNAVAILABLE =
  "network, media time and GPUs of jobs are not measured, and it is not known what holds jobs back and what they are sure of";

/** Problems that an operator should know of although the daemon works. */
export class Health {
  readonly #context: DaemonContext;
  /** Why a better event source is not used. */
  #unavailable: string[] = [];
  /** When each kind of trouble happened last, in ms of CLOCK_BOOTTIME, and what it was. */
  readonly #last = new Map<string, { atMs: number; text: string }>();
  /** Open jobs without an observer after this daemon tried to take them over. */
  #unobserved = 0;
  #unavailableHook: string | undefined;
  #unavailableMeter: string | undefined;

  constructor(context: DaemonContext) {
    this.#context = context;
    context.bus.subscribe((event) => {
      if (event.kind === "daemon-started" || event.kind === "event-source-changed")
        this.#unavailable = event.unavailable;
      else if (event.kind === "events-lost") this.#record("events-lost", event.reason);
      else if (event.kind === "job-attached") {
        const refused = event.job.outcomes.find(({ outcome }) => outcome === "refused");
        if (refused) this.#record("limits-refused", `${refused.limit} of job ${event.job.jobId}`);
      } else if (event.kind === "limit-repaired" && event.repair.did === "repair_refused")
        this.#record("limits-refused", `${event.repair.what} of job ${event.job.jobId}`);
      else if (event.kind === "hook-ended" && event.failure !== null)
        this.#record("on-end-failed", `the command ${event.failure}`);
      else if (event.kind === "hook-dropped") this.#record("on-end-failed", event.reason);
      else if (event.kind === "hook-unavailable") this.#unavailableHook = event.reason;
      else if (event.kind === "meter-unavailable") this.#unavailableMeter = event.reason;
      else if (event.kind === "history-prune-failed") this.#record("history-not-pruned", event.reason);
    });
  }

  /** Counts the jobs that have no observer. Call it when the daemon has just tried to take them over. */
  countUnobserved(): void {
    const jobs = this.#context.ledger.openJobs().filter(({ state }) => state === "running");
    this.#unobserved = jobs.filter((job) => !isObserved(this.#context, job)).length;
  }

  /** Returns the worst problems first. */
  problems(source: EventSource, shortOfCpu: readonly JobUse[]): HealthProblem[] {
    const { ledger, store, options } = this.#context;
    const problems: HealthProblem[] = [];
    const add = (severity: HealthProblem["severity"], kind: string, text: string) =>
      problems.push({ severity, kind, text });
    const waiting = ledger.flush();
    if (waiting > 0)
      add("critical", "ledger-not-writable", `${waiting} changes wait for the ledger ${ledger.path}`);
    if (this.#unobserved > 0) add("critical", "jobs-unobserved", `${this.#unobserved} jobs have no observer`);
    const [fault] = store.faults;
    if (fault !== undefined) {
      const earlier = `the policy of ${isoTime(store.loadedMs)} is in force`;
      add("warning", "policy-not-valid", `the policy file is not valid, ${earlier}: ${fault}`);
    }
    const { fleet } = store;
    if (fleet?.state === "refused" || fleet?.state === "unsupported") {
      const stays = fleet.serial === null ? "the policy of this machine" : `serial ${fleet.serial}`;
      add(
        "warning",
        "fleet-policy-refused",
        `the policy of the fleet is ${fleet.state}, ${stays} is in force: ${fleet.why}`,
      );
    }
    if (source !== "connector" && options.events.choice === "auto") {
      const reasons = this.#unavailable.join("; ");
      add("warning", "no-kernel-events", `new processes are found by scans only: ${reasons}`);
    }
    this.#addRecent(add, "events-lost", (text) => `process events were lost ${RECENTLY}: ${text}`);
    this.#addRecent(add, "limits-refused", (text) => `limits were refused ${RECENTLY}, such as ${text}`);
    if (this.#unavailableHook !== undefined && store.policy.onEnd !== undefined)
      add(
        "warning",
        "on-end-unavailable",
        `on_end cannot run: ${this.#unavailableHook}; restart ffrtmp watch`,
      );
    if (this.#unavailableMeter !== undefined)
      add(
        "warning",
        "meter-unavailable",
        `${METER_UNAVAILABLE}: ${this.#unavailableMeter}; restart ffrtmp watch`,
      );
    this.#addRecent(add, "on-end-failed", (text) => `on_end failed ${RECENTLY}: ${text}`);
    // A need that is close to the share moves around it.
    const [text] = shortOfCpu.flatMap(({ job, shares }) => shortfallTextOf(job, shares) ?? []);
    if (text !== undefined) {
      const others = shortOfCpu.length === 1 ? "" : `; and ${shortOfCpu.length - 1} more, see ffrtmp stats`;
      add("warning", "jobs-short-of-cpu", `${text}${others}`);
    }
    this.#addRecent(add, "history-not-pruned", (text) => `old history cannot be deleted: ${text}`);
    return problems;
  }

  #record(kind: string, text: string): void {
    this.#last.set(kind, { atMs: this.#context.host.bootNow(), text });
  }

  #addRecent(
    add: (severity: "warning", kind: string, text: string) => void,
    kind: string,
    describe: (text: string) => string,
  ): void {
    const last = this.#last.get(kind);
    if (last && this.#context.host.bootNow() - last.atMs < RECENT_MS)
      add("warning", kind, describe(last.text));
  }
}
