import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import type { Job } from "../../jobs/model/job.ts";
import { bootIdOf, isOpen } from "../../jobs/model/job.ts";
import { stampOfLedger } from "../../ledger/readOnly.ts";
import { type Acceptance, readAcceptance } from "../dispatch/accept.ts";
import { FLEET_LABEL } from "../dispatch/attemptLedger.ts";
import { keepSignedTemplate } from "../dispatch/signedTemplates.ts";
import {
  type AttemptName,
  claimRecord,
  type RunnerRecord,
  runnerRecord,
  Spool,
  settledRecord,
} from "../dispatch/spool.ts";
import type { LedgerAttempt } from "../dispatch/standing.ts";
import { readTemplate } from "../dispatch/template.ts";
import { Dispatcher, type DispatcherOptions } from "./dispatcher.ts";
import type { JobQueue } from "./jobQueue.ts";
import type { NodeLedger } from "./nodeLedger.ts";
import type { NodeFacts } from "./nodeState.ts";

/** Where the parts of dispatch have their files. */
export interface DispatchFiles {
  /** Root's permission: see `ACCEPT_FILE`. */
  readonly accept: string;
  /** Root's templates. */
  readonly templates: string;
  /** The agent's records: see `CLAIMS_DIRECTORY`. */
  readonly claims: string;
  /** The runner's records: see `RUNNER_DIRECTORY`. */
  readonly runner: string;
}

/** Returns the dispatcher of a node, whose evidence is its ledger and the records of its runner. */
export function createDispatcher(
  facts: NodeFacts,
  ledger: NodeLedger,
  files: DispatchFiles,
  { cordon, log }: Pick<DispatcherOptions, "cordon" | "log">,
): Dispatcher {
  const { host, bootId, config } = facts;
  const runner = new Spool<RunnerRecord>(files.runner, runnerRecord);
  return new Dispatcher({
    stores: {
      held: new Spool(files.claims, claimRecord),
      settled: new Spool(join(files.claims, "settled"), settledRecord),
    },
    context: {
      node: config.node,
      bootId,
      now: () => host.now(),
      newId: () => crypto.randomUUID(),
      ledgerId: () => ledger.read((outbox) => outbox.ledgerId),
      readLedger: (attempts) => readAttempts(ledger, attempts),
      readRunner: (name) => runner.read(name),
    },
    accept: () => readAcceptance(files.accept),
    cordon,
    refuses: ({ template }, _, { signedTemplates }) =>
      lacksTemplate(template, files.templates, signedTemplates),
    bringTemplate: (queue, { template }, acceptance) => bringTemplate(queue, template, acceptance, files),
    evidenceStamp: () => `${stampOfLedger(ledger.path)} ${changeTimeOf(files.runner)}`,
    log,
  });
}

/**
 * The runner looks at the parameters too, with the rights and the view of root, which the agent does not have: an attempt that the
 * runner refuses is lost, and can be offered again.
 */
function lacksTemplate(name: string, directory: string, canBeBrought: boolean): string | undefined {
  try {
    return readTemplate(name, directory) === undefined && !canBeBrought
      ? `there is no template ${name} in ${directory}`
      : undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

/** Brings a template that an operator has signed, unless root has one of this name. The runner verifies it. */
async function bringTemplate(
  queue: JobQueue,
  name: string,
  { signedTemplates }: Acceptance,
  files: DispatchFiles,
): Promise<string | undefined> {
  if (!signedTemplates || existsSync(join(files.templates, `${name}.yaml`))) return undefined;
  const text = await queue.readTemplate(name);
  if (text === undefined) return `there is no template ${name}, neither here nor at the hub`;
  keepSignedTemplate(join(files.claims, "..", "templates"), name, text);
  return undefined;
}

/** Returns what the ledger has of attempts, by their ids in it. */
function readAttempts(
  ledger: NodeLedger,
  attempts: readonly (AttemptName & { id: string })[],
): Map<string, LedgerAttempt> {
  return ledger.read((outbox) => {
    const found = new Map<string, LedgerAttempt>();
    for (const { id, job: name } of attempts) {
      const last = outbox.lastWithId(id);
      // Another job can have such an id.
      if (last?.job.labels[FLEET_LABEL] !== name) continue;
      const attempt = describe(last.job, last.result?.ending);
      if (attempt !== undefined) found.set(id, attempt);
    }
    return found;
  });
}

function describe(
  job: Job,
  ending: (LedgerAttempt & { state: "ended" })["ending"] | undefined,
): LedgerAttempt | undefined {
  if (isOpen(job)) return { state: "open", bootId: bootIdOf(job) };
  return ending === undefined ? undefined : { state: "ended", ending };
}

/** Each record is a new file in the directory. */
function changeTimeOf(directory: string): number | undefined {
  return statSync(directory, { throwIfNoEntry: false })?.mtimeMs;
}
