import type { AttributeSet, CarriedFiles, Change } from "../../linux/change.ts";
import { formatAttribute } from "../../linux/proc/taskAttributes.ts";

/** Describes planned changes to the machine as imperative phrases. Threads of a process that change alike share one. */
export function describeChanges(changes: readonly Change[]): string[] {
  const attributes = Map.groupBy(
    changes.filter((change) => change.kind === "attribute-set"),
    ({ attribute, pid, before, after }) => [attribute, pid, before, after].join(" "),
  );
  const others = changes.filter((change) => change.kind !== "attribute-set");
  return [...others.map(describeChange), ...attributes.values().map(describeAttribute)];
}

function describeChange(change: Exclude<Change, AttributeSet>): string {
  switch (change.kind) {
    case "cgroup-created":
      return `create cgroup ${change.path}${ROLES[change.role]}${describeCarried(change.carried)}`;
    case "controller-enabled":
      return `enable controller ${change.controller} in ${change.path}`;
    case "file-written":
      return `write "${change.after}" to ${change.path}${change.before === null ? "" : `, which contains "${change.before}"`}`;
    case "processes-moved":
      return `move its processes from ${change.from} to ${change.to}`;
    case "scope-started":
      return `start ${change.unit} by the ${change.manager} manager of systemd`;
  }
}

function describeAttribute(alike: readonly AttributeSet[]): string {
  const { attribute, pid, tid, before, after } = alike[0] as AttributeSet;
  const [from, to] = [before, after].map((value) => formatAttribute(attribute, value));
  const one = tid === pid ? "" : `, thread ${tid},`;
  const threads = alike.length === 1 ? one : `, ${alike.length} threads,`;
  return `set ${attribute} of PID ${pid}${threads} from ${from} to ${to}`;
}

const ROLES = {
  job: "",
  tenant: " for the tenant, unless it exists",
  "wrapper-slot": " with a slot for the starting thread",
  carrier: " with the limits of the cgroup that the processes leave",
} as const;

// : memory.max "1073741824", pids.max "100"
function describeCarried(carried: CarriedFiles = {}): string {
  const texts = Object.entries(carried).map(([file, text]) => `${file} "${text.replaceAll("\n", "; ")}"`);
  return texts.length === 0 ? "" : `: ${texts.join(", ")}`;
}
