import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { FleetPolicyReport, FurtherFiles, PolicyReading } from "../../daemon/policyStore.ts";
import { readNodeConfig } from "../../fleet/nodeConfig.ts";
import { PolicyFollower, type PolicyTextFault } from "../../fleet/policy/policyFollower.ts";
import { writeWhole } from "../../fleet/trust/durableFile.ts";
import { faultText, type PolicyFault } from "../../policy/file/fault.ts";
import { loadFleetPolicy } from "../../policy/file/fleetPolicy.ts";
import { whyUntrusted } from "../../policy/file/hookFile.ts";
import type { Policy } from "../../policy/policy.ts";
import { describeErrno } from "../../sys/errno.ts";

/** In the state directory of `ffrtmp watch`. */
const [MEMORY_FILE, COPY_FILE] = ["fleet-policy.json", "fleet-policy.yaml"] as const;

/** The policy of the fleet, as it takes the place of the policy file of this machine. */
export class FleetPolicy implements FurtherFiles {
  readonly #follower: PolicyFollower;
  /** The text of the policy in force, for the operator to read. */
  readonly #copy: string;
  #isIgnored = false;

  /** Throws a Refusal where the configuration of the node cannot be read. */
  constructor(configFile: string, stateDirectory: string) {
    this.#copy = join(stateDirectory, COPY_FILE);
    this.#follower = new PolicyFollower({
      config: readNodeConfig(configFile),
      memoryFile: join(stateDirectory, MEMORY_FILE),
      check: (yaml) => this.#check(yaml),
      whyUntrusted,
      now: () => Date.now(),
    });
  }

  get files(): readonly string[] {
    return this.#follower.files;
  }

  fingerprint(): string {
    const { inForce, report } = this.#follower.read({ isIgnored: this.#isIgnored, mayAccept: false });
    return fingerprintOf(inForce, report);
  }

  /**
   * Returns what is in force: the fleet's policy, or that of this machine. `mayAccept`: a new policy is accepted. `undefined` for
   * `local`: this machine has no file.
   */
  combine(local: PolicyReading | undefined, mayAccept: boolean): PolicyReading | undefined {
    // The file itself says whether it may be replaced.
    if (local !== undefined && "faults" in local) return local;
    this.#isIgnored = local?.policy.ignoresFleet ?? false;
    const { inForce, report } = this.#follower.read({ isIgnored: this.#isIgnored, mayAccept });
    const fingerprint = fingerprintOf(inForce, report);
    if (inForce === undefined)
      return local === undefined ? undefined : { ...local, fleet: report, fingerprint };
    const loaded = loadFleetPolicy(inForce.yaml, this.#copy);
    // An older ffrtmp than the one that accepted it.
    if ("faults" in loaded) {
      const why = `serial ${inForce.serial} cannot be used any more: ${describe(loaded.faults, this.#copy)}`;
      const fleet: FleetPolicyReport = {
        ...report,
        serial: null,
        in_force_ring: null,
        state: "unsupported",
        why,
      };
      return local === undefined ? { faults: [why], fleet } : { ...local, fleet, fingerprint };
    }
    const warnings = loaded.warnings.map((each) => `${faultText(this.#copy, each)}; perhaps: ${each.right}`);
    if (mayAccept) warnings.push(...this.#writeCopy(inForce.yaml));
    const policy: Policy = { ...loaded.policy, path: this.#copy };
    return { policy, warnings, path: this.#copy, fleet: report, fingerprint };
  }

  #check(yaml: string): PolicyTextFault | undefined {
    const loaded = loadFleetPolicy(yaml, this.#copy);
    return "faults" in loaded
      ? { why: describe(loaded.faults, this.#copy), isForbidden: loaded.isForbidden }
      : undefined;
  }

  /** It is for people: the policy in force is the signed one. */
  #writeCopy(yaml: string): string[] {
    try {
      mkdirSync(dirname(this.#copy), { recursive: true, mode: 0o700 });
      if (!existsSync(this.#copy) || readFileSync(this.#copy, "utf8") !== yaml)
        writeWhole(this.#copy, yaml, 0o640);
      return [];
    } catch (error) {
      return [`${this.#copy} cannot be written: ${describeErrno(error)}`];
    }
  }
}

/** Returns a text that changes with the reading. Not with the files: these can change between two readings. */
function fingerprintOf(inForce: { sha256: string } | undefined, report: FleetPolicyReport): string {
  return JSON.stringify([inForce?.sha256, report]);
}

function describe([first, ...others]: readonly PolicyFault[], path: string): string {
  if (first === undefined) return "it is empty";
  const more = others.length === 0 ? "" : `; and ${others.length} more`;
  return `${faultText(path, first)}${more}`;
}
