import { type Host, readProcFile } from "../host.ts";
import { hasKernelFunction, readKernelConfig } from "../kernelConfig.ts";
import type { Hierarchy } from "./hierarchies.ts";

/**
 * Returns why a real-time thread of this process could keep other cgroups from limits, or `undefined`.
 *
 * A kernel with CONFIG_RT_GROUP_SCHED refuses to enable the cpu controller of cgroup v2 while a real-time thread is below the
 * root cgroup (Documentation/admin-guide/cgroup-v2.rst, "CPU"). That would hit every unit beside ours. On v1, only a move of
 * the thread itself is refused. Debian, Ubuntu and Fedora build their kernels without it.
 */
export function whyNoRealtimeThreads(
  host: Host,
  hierarchies: readonly Hierarchy[],
  config: () => string | undefined = readKernelConfig,
  hasFunction: (name: string) => boolean | undefined = hasKernelFunction,
): string | undefined {
  const cpu = hierarchies.find(({ controllers }) => controllers.includes("cpu"));
  if (cpu?.version !== 2) return undefined;
  // Only a kernel with such groups is built with the function that refuses a real-time thread. In a container, which lacks
  // the file of the configuration, this shows it.
  const text = config() ?? (hasFunction("sched_rt_can_attach") === false ? "" : undefined);
  if (text === undefined)
    return "the configuration of the kernel cannot be read, and with CONFIG_RT_GROUP_SCHED a real-time thread blocks the cpu controller";
  if (!hasRealtimeGroups(text, readProcFile(host, "cmdline"))) return undefined;
  return "with CONFIG_RT_GROUP_SCHED a real-time thread blocks the cpu controller; rt_group_sched=0 on the kernel command line turns that off in newer kernels";
}

function hasRealtimeGroups(config: string, commandLine: string): boolean {
  const isSet = (name: string) => new RegExp(`^CONFIG_${name}=y$`, "m").test(config);
  if (!isSet("RT_GROUP_SCHED")) return false;
  const chosen = /(?:^|\s)rt_group_sched=(\S+)/.exec(commandLine)?.[1];
  // Unknown words count as set. An older kernel has no such parameter, nor the option for its default.
  if (chosen !== undefined && /^(0|n|no|off|false)$/i.test(chosen))
    return !/RT_GROUP_SCHED_DEFAULT_DISABLED/.test(config);
  return chosen !== undefined || !isSet("RT_GROUP_SCHED_DEFAULT_DISABLED");
}
