import { type CpuMax, type IoMax, parseCpuList } from "./grammar.ts";

/**
 * Limits as unit properties, each as the words that busctl takes: name, type, value. The names and types are
 * those of systemd.resource-control(5) on the bus: org.freedesktop.systemd1(5).
 */
export type Property = [name: string, type: string, ...value: string[]];

export function numberProperty(name: string): (value: number) => Property[] {
  return (value) => [[name, "t", String(value)]];
}

export function quotaProperties({ quotaUsec, periodUsec }: CpuMax): Property[] {
  if (quotaUsec === "max") return [];
  return [
    ["CPUQuotaPerSecUSec", "t", String(Math.floor((quotaUsec * 1e6) / periodUsec))],
    ["CPUQuotaPeriodUSec", "t", String(periodUsec)],
  ];
}

/** Returns one bit for each CPU; the first byte is for CPU 0 to 7. */
export function cpuMaskProperty(list: string): Property[] {
  const cpus = parseCpuList(list) ?? [];
  const mask = new Array<number>(Math.floor((cpus.at(-1) ?? 0) / 8) + 1).fill(0);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return [["AllowedCPUs", "ay", String(mask.length), ...mask.map(String)]];
}

const IO_PROPERTIES = [
  ["rbps", "IOReadBandwidthMax"],
  ["wbps", "IOWriteBandwidthMax"],
  ["riops", "IOReadIOPSMax"],
  ["wiops", "IOWriteIOPSMax"],
] as const;

export function rateProperties(ioMax: IoMax[]): Property[] {
  return IO_PROPERTIES.flatMap(([rate, name]): Property[] => {
    // A path that is on no disk here is refused when the limit is applied, and must not refuse the whole scope.
    const limited = ioMax.filter((max) => typeof max[rate] === "number" && /^\d+:\d+$/.test(max.device));
    const words = limited.flatMap((max) => [`/dev/block/${max.device}`, String(max[rate])]);
    return limited.length === 0 ? [] : [[name, "a(st)", String(limited.length), ...words]];
  });
}
