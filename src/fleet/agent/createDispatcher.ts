import { statSync } from "node:fs";
import { join } from "node:path";
import type { Job } from "../../jobs/model/job.ts";
import { bootIdOf, isOpen } from "../../jobs/model/job.ts";
import { stampOfLedger } from "../../ledger/readOnly.ts";
import { keepSignedTemplate } from "../dispatch/keptTemplate.ts";
import {
  type AttemptName,
  claimRecord,
  type RunnerRecord,
  runnerRecord,
  Spool,
  settledRecord,
} from "../dispatch/spool.ts";
import type { LedgerAttempt } from "../dispatch/standing.ts";
import { templateDirectory } from "../dispatch/templateFiles.ts";
import { FLEET_JOB_LABEL } from "../messages/job.ts";
import type { NodeConfig } from "../nodeConfig.ts";
import { claimsDirectory } from "../nodeFiles.ts";
import { cordonFiles, readCordon } from "./cordon.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { JobQueue } from "./jobQueue.ts";
import type { NodeLedger } from "./nodeLedger.ts";
import type { NodeFacts } from "./nodeState.ts";
import type { RootsLocks } from "./rootsLocks.ts";

/** Where the parts of dispatch have their files. Root's templates are beside its permission. */
export interface DispatchFiles {
  /** Root's permission: see `acceptFile`. */
  readonly accept: string;
  /** The directory of the agent. */
  readonly agentState: string;
  /** The directory of the runner. */
  readonly runnerState: string;
}

/** Returns the dispatcher of a node, whose evidence is its ledger and the records of its runner. */
export function createDispatcher(
  facts: NodeFacts,
  ledger: NodeLedger,
  files: DispatchFiles,
  locks: RootsLocks,
  log: (text: string) => void,
): Dispatcher {
  const { host, bootId, config } = facts;
  const runner = new Spool<RunnerRecord>(files.runnerState, runnerRecord);
  const claims = claimsDirectory(files.agentState);
  const templates = templateDirectory(files.accept);
  return new Dispatcher({
    stores: {
      held: new Spool(claims, claimRecord),
      settled: new Spool(join(claims, "settled"), settledRecord),
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
    accept: () => locks.acceptance(),
    cordon: () => cordonOf(config),
    // The runner looks at the parameters too, with the rights and the view of root, which the agent does not have: an attempt that
    // it refuses is lost, and can be offered again.
    refuses: ({ template }, _, { signedTemplates }) => {
      const fault = locks.faultOfTemplate(template);
      if (fault !== undefined || signedTemplates) return fault ?? undefined;
      return `there is no template ${template} in ${templates}`;
    },
    bringTemplate: async (queue, { template }, { signedTemplates }) =>
      signedTemplates && locks.faultOfTemplate(template) === undefined
        ? bringTemplate(queue, template, join(claims, "..", "templates"))
        : undefined,
    templates: () => locks.templates,
    evidenceStamp: () => `${stampOfLedger(ledger.path)} ${changeTimeOf(files.runnerState)}`,
    log,
  });
}

function cordonOf(config: NodeConfig): string | undefined {
  const cordon = readCordon(config.node, cordonFiles(config));
  return cordon === undefined ? undefined : `${cordon.reason} (by ${cordon.by})`;
}

/** Brings a template that an operator has signed, which root has not. The runner verifies it. */
async function bringTemplate(queue: JobQueue, name: string, directory: string): Promise<string | undefined> {
  const text = await queue.readTemplate(name);
  if (text === undefined) return `there is no template ${name}, neither here nor at the hub`;
  keepSignedTemplate(directory, name, text);
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
      if (last?.job.labels[FLEET_JOB_LABEL] !== name) continue;
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
