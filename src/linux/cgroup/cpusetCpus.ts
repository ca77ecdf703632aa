import { parseCpuList } from "../../limits/cpuList.ts";
import type { Limits } from "../../limits/limits.ts";
import type { LimitOutcome } from "../../limits/outcome.ts";
import type { CgroupDirectory } from "./controller.ts";
import {
  compareReadBack,
  constrainingCgroups,
  limitedByAncestor,
  readCgroupFile,
  writeCgroupFile,
} from "./file.ts";

/** The CPUs that a cgroup can use in fact. v1 has the file since 3.17, and only cpuset.cpus before. */
const EFFECTIVE = { 1: ["cpuset.effective_cpus", "cpuset.cpus"], 2: ["cpuset.cpus.effective"] } as const;

/**
 * Applies cpuset.cpus, the same file with the same format on v1 and v2. v1 rejects CPUs that the parent does not have.
 * v2 stores any list, and uses the CPUs that the parent has too, or all of the parent's where there are none.
 */
export function applyCpus(directory: CgroupDirectory, { cpus }: Limits): LimitOutcome {
  const wanted = cpus as string;
  const limit = "cpuset.cpus";
  const list = parseCpuList(wanted);
  if (!list)
    return { limit, outcome: "refused", wanted, because: `"${wanted}" is not a list of CPUs such as 0-3,8` };
  for (const holder of constrainingCgroups(directory)) {
    const text = readEffective(holder);
    const above = text === undefined ? undefined : parseCpuList(text);
    if (text === undefined || !above) continue;
    if (above.every((cpu) => list.includes(cpu)))
      return limitedByAncestor(limit, wanted, { text, path: holder.path });
    if (directory.ownersHeld && !list.every((cpu) => above.includes(cpu))) {
      const common = above.filter((cpu) => list.includes(cpu)).join();
      return common === ""
        ? { limit, outcome: "refused", wanted, because: `${holder.path} allows ${text} only` }
        : writeCpus(directory, wanted, common);
    }
    break;
  }
  return writeCpus(directory, wanted, wanted);
}

function writeCpus(directory: CgroupDirectory, wanted: string, data: string): LimitOutcome {
  const limit = "cpuset.cpus";
  const list = parseCpuList(wanted) ?? [];
  const write = writeCgroupFile(directory, limit, data);
  const used = "refusal" in write ? write : { readBack: readEffective(directory) ?? write.readBack };
  return compareReadBack(limit, wanted, used, (readBack) => parseCpuList(readBack)?.join() === list.join());
}

/** Returns the CPUs that a cgroup can use in fact. The lists above are already part of that. */
export function readCpus(directory: CgroupDirectory): Limits {
  const cpus = readEffective(directory);
  return cpus ? { cpus } : {};
}

function readEffective(directory: CgroupDirectory): string | undefined {
  return EFFECTIVE[directory.hierarchy.version]
    .map((file) => readCgroupFile(directory, file))
    .find((text) => text !== undefined);
}
