import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import {
  ACCEPT_FILE,
  type AcceptFile,
  acceptSchema,
  readAcceptance,
  requireJobUser,
} from "../../../fleet/dispatch/accept.ts";
import { templateDirectory } from "../../../fleet/dispatch/templateFiles.ts";
import { describeFaults, parseYaml } from "../../../fleet/dispatch/yamlFile.ts";
import { isSigningPublicKey } from "../../../fleet/keys/signingKey.ts";
import { writeWhole } from "../../../fleet/trust/durableFile.ts";
import { readTrustedKeys } from "../../../fleet/trust/trustedKeys.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { describeErrno, errnoOf } from "../../../sys/errno.ts";
import { printErr, printOut } from "../../output/messages.ts";

const RUNNER_UNIT = "ffrtmp-fleet-runner";

interface AcceptFlags {
  pool?: string[];
  as?: string;
  slots: number;
  trust?: string[];
  signedTemplates?: boolean;
  off?: boolean;
  accept?: string;
}

/** Writes root's permission for jobs of the fleet, or takes it back. */
export function accept(flags: AcceptFlags): number {
  const path = flags.accept ?? ACCEPT_FILE;
  if (process.geteuid?.() !== 0)
    throw new Refusal(
      "only root decides which jobs of the fleet this machine takes",
      "sudo ffrtmp fleet accept …",
    );
  return flags.off ? turnOff(path) : turnOn(path, flags);
}

function turnOff(path: string): number {
  const wasOn = existsSync(path);
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw new Refusal(`cannot remove ${path}: ${describeErrno(error)}`);
  }
  printOut(
    wasOn
      ? "dispatch is off: this machine claims no further jobs and starts none. Those that run, run on"
      : "dispatch is off, as it was",
  );
  if (wasOn) printErr(`  to stop the runner too: systemctl disable --now ${RUNNER_UNIT}`);
  return 0;
}

function turnOn(path: string, { pool: pools, as, slots, trust, signedTemplates }: AcceptFlags): number {
  if (pools === undefined || as === undefined || trust === undefined)
    throw new Refusal(
      "--pool, --as and --trust are needed: which jobs, as which user, signed by whom",
      "ffrtmp fleet accept --pool live --as transcode --trust KEY; or --off",
    );
  requireJobUser(as);
  const file: AcceptFile = {
    v: 1,
    pools: [...new Set(pools)],
    slots,
    as,
    trusted: [...new Set(trust.flatMap(readKeys))],
    signed_templates: signedTemplates ?? false,
  };
  const text = `# What this machine takes from its fleet. ffrtmp fleet accept writes it; ffrtmp fleet accept --off removes it.\n${stringify(file)}`;
  const parsed = parseYaml(text, acceptSchema);
  if ("faults" in parsed) throw new Refusal(`nothing is changed: ${describeFaults(path, parsed.faults)}`);
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    // Every user may read it: it contains public keys alone.
    writeWhole(path, text, 0o644);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new Refusal(`cannot write ${path}: ${describeErrno(error)}`);
  }
  // A directory above that another user can change makes the file worthless.
  readAcceptance(path);
  printOut(`${path}: jobs of ${file.pools.join(", ")} run here as ${as}, up to ${slots} at once`);
  for (const step of missingSteps(path, file)) printErr(`  ${step}`);
  return 0;
}

/** Returns a key that is given itself, or the keys of a file. */
function readKeys(given: string): string[] {
  if (isSigningPublicKey(given)) return [given];
  const { keys, fault } = readTrustedKeys(given);
  // The content is not shown: it can be the secret key.
  const reason =
    fault ?? (keys.size === 0 ? `${given} is no public key (O…), and no file with one` : undefined);
  if (reason === undefined) return [...keys];
  throw new Refusal(`--trust: ${reason}`, "ffrtmp fleet key jobs prints it, where the fleet's keys are");
}

/** Returns the steps that are left for root, each of which is a decision of its own. */
function missingSteps(path: string, { pools }: AcceptFile): string[] {
  const steps: string[] = [];
  const templates = templateDirectory(path);
  if (!existsSync(templates) || readdirSync(templates).length === 0)
    steps.push(`missing: a template that says what a job may execute, as ${join(templates, "NAME.yaml")}`);
  steps.push(`to start jobs: systemctl enable --now ${RUNNER_UNIT}`);
  steps.push(
    `the node must be in ${pools.length === 1 ? "the pool" : "the pools"} at the hub: ffrtmp fleet invite NODE --renew ${pools.map((pool) => `--pool ${pool}`).join(" ")}`,
  );
  return steps;
}
