import { existsSync } from "node:fs";
import { type PolicyReading, PolicyStore } from "../../daemon/policyStore.ts";
import { NODE_CONFIG_FILE } from "../../fleet/nodeFiles.ts";
import { Refusal } from "../../jobs/errors.ts";
import { ROOT_STATE } from "../../ledger/location.ts";
import type { LimitLayer } from "../../limits/limits.ts";
import { faultText } from "../../policy/file/fault.ts";
import { DEFAULT_TARGETS, overrideByFlags, type Policy, policyFromFlags } from "../../policy/policy.ts";
import { printErr, warn } from "../output/messages.ts";

export interface PolicyFlags {
  watchConfig?: string;
  target?: string[];
  fleetConfig?: string;
}

/** Where `ffrtmp watch` keeps what it has accepted, and whether this call may accept a policy of the fleet. */
export interface PolicyPlace {
  readonly stateDirectory: string;
  readonly mayAccept: boolean;
}

const DEFAULT_POLICY_PATH = "/etc/ffrtmp/policy.yaml";

function defaultPolicyPath(): string | undefined {
  return existsSync(DEFAULT_POLICY_PATH) ? DEFAULT_POLICY_PATH : undefined;
}

/** Returns the given path, or that of the default policy file. Throws a Refusal where there is neither. */
export function requirePolicyPath(given: string | undefined): string {
  const path = given ?? defaultPolicyPath();
  if (path) return path;
  const none = `no policy file given, and ${DEFAULT_POLICY_PATH} does not exist`;
  throw new Refusal(none, "ffrtmp policy check FILE, or ffrtmp policy explain --file FILE");
}

/**
 * Opens the policy of `watch`. On a node of a fleet, the fleet's policy takes the place of the file, unless that says
 * `fleet: ignore`. In either, `--target` and limit options replace the target commands and the default limits. Without a file,
 * the options are the whole policy. The default file is read only if no option names a file, a target or a limit. Throws a
 * Refusal with all errors of the file.
 */
export async function openPolicy(
  { watchConfig, target, fleetConfig }: PolicyFlags,
  limits: LimitLayer,
  place: PolicyPlace,
): Promise<PolicyStore> {
  const hasOverrides = target !== undefined || Object.keys(limits).length > 0;
  const path = watchConfig ?? (hasOverrides ? undefined : defaultPolicyPath());
  const ofOptions = target === undefined ? [] : await warningsAboutTargets(target);
  const override = (policy: Policy) => overrideByFlags(policy, target, limits);
  const local = path === undefined ? undefined : await fileReader(path);
  // Options without a file are what the operator of this machine asks for, and nothing else.
  const isFollower = path !== undefined || !hasOverrides || fleetConfig !== undefined;
  const fleet = isFollower ? await openFleet(fleetConfig, place) : undefined;
  const load = (): PolicyReading => {
    const own = local?.();
    const read = fleet === undefined ? own : fleet.combine(isAbsent(path) ? undefined : own, place.mayAccept);
    if (read === undefined && own !== undefined) return own;
    if (read === undefined)
      return { policy: policyFromFlags(target ?? DEFAULT_TARGETS, limits), warnings: ofOptions };
    return "faults" in read
      ? read
      : { ...read, policy: override(read.policy), warnings: [...ofOptions, ...read.warnings] };
  };
  const store = PolicyStore.open(path, load, fleet);
  if (store instanceof PolicyStore) return store;
  throw new Refusal(
    `cannot use the policy: ${store.faults.join("; ")}`,
    `ffrtmp policy check ${path ?? ""}`.trim(),
  );
}

/** On a node of a fleet, a machine needs no file of its own. */
function isAbsent(path: string | undefined): boolean {
  return path === undefined || !existsSync(path);
}

async function openFleet(named: string | undefined, { stateDirectory }: PolicyPlace) {
  // Another state directory is of another daemon, such as that of a user.
  const isNode = stateDirectory === ROOT_STATE && existsSync(NODE_CONFIG_FILE);
  const file = named ?? (isNode ? NODE_CONFIG_FILE : undefined);
  if (file === undefined) return undefined;
  // Machines in no fleet do without it.
  const { FleetPolicy } = await import("./fleetPolicy.ts");
  return new FleetPolicy(file, stateDirectory);
}

async function warningsAboutTargets(targets: readonly string[]): Promise<string[]> {
  const [{ mistakeInCommand }, { thisMachine }] = await Promise.all([
    import("../../policy/file/mistakes.ts"),
    import("../../policy/file/machine.ts"),
  ]);
  const { programs } = thisMachine();
  return targets.flatMap((target) => {
    const mistake = mistakeInCommand(target, programs);
    return mistake === undefined ? [] : `--target ${target} ${mistake[0]}; perhaps: ${mistake[1]}`;
  });
}

/**
 * Returns the given policy file, or the policy by which `ffrtmp watch` decides on this machine. Prints its warnings, and whose it
 * is where it is that of a fleet. Throws a Refusal where there is none, and with all errors of the file.
 */
export async function requirePolicyInForce(
  { file, watchConfig, fleetConfig }: PolicyFlags & { file?: string },
  stateDirectory: string,
): Promise<Policy> {
  const given = file ?? watchConfig;
  if (given !== undefined && fleetConfig === undefined) return requirePolicy(given);
  const flags = {
    ...(given === undefined ? {} : { watchConfig: given }),
    ...(fleetConfig === undefined ? {} : { fleetConfig }),
  };
  const store = await openPolicy(flags, {}, { stateDirectory, mayAccept: false });
  if (store.path === undefined) requirePolicyPath(undefined);
  if (store.fleet !== undefined && store.fleet.serial !== null)
    printErr(
      `ffrtmp: the policy is that of the fleet: serial ${store.fleet.serial} of the ring ${store.fleet.in_force_ring}`,
    );
  for (const warning of store.warnings) warn(warning);
  return store.policy;
}

/** Reads a policy file and prints its warnings. Throws a Refusal with all errors of the file. */
async function requirePolicy(path: string): Promise<Policy> {
  const read = (await fileReader(path))();
  if ("faults" in read)
    throw new Refusal(`cannot use the policy: ${read.faults.join("; ")}`, `ffrtmp policy check ${path}`);
  for (const warning of read.warnings) warn(warning);
  return read.policy;
}

/** Returns a function that reads a policy file. */
async function fileReader(path: string): Promise<() => PolicyReading> {
  // Other commands do without the parser and start faster.
  const { loadPolicyFile } = await import("../../policy/file/loadPolicy.ts");
  return () => {
    const loaded = loadPolicyFile(path);
    if ("unreadable" in loaded) return { faults: [`${path} ${loaded.unreadable}`] };
    if ("faults" in loaded) return { faults: loaded.faults.map((fault) => faultText(path, fault)) };
    const warnings = loaded.warnings.map((each) => `${faultText(path, each)}; perhaps: ${each.right}`);
    return { policy: loaded.policy, warnings };
  };
}
