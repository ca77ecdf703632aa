import type { CarriedFiles, Change } from "../../linux/change.ts";
import { formatAttribute } from "../../linux/proc/taskAttributes.ts";

/** Describes a planned change to the machine as an imperative phrase. */
export function describeChange(change: Change): string {
  switch (change.kind) {
    case "cgroup-created":
      return `create cgroup ${change.path}${ROLES[change.role]}${describeCarried(change.carried)}`;
    case "controller-enabled":
      return `enable controller ${change.controller} in ${change.path}`;
    case "file-written":
      return `write "${change.after}" to ${change.path}${change.before === null ? "" : `, which contains "${change.before}"`}`;
    case "processes-moved":
      return `move its processes from ${change.from} to ${change.to}`;
    case "attribute-set": {
      const { attribute, pid, tid, before, after } = change;
      const [from, to] = [before, after].map((value) => formatAttribute(attribute, value));
      return `set ${attribute} of PID ${pid}, thread ${tid}, from ${from} to ${to}`;
    }
    case "scope-started":
      return `start ${change.unit} by the ${change.manager} manager of systemd`;
  }
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
