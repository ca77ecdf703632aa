import { type CpuMax, type IoMax, parseCpuList } from "./grammar.ts";

/**
 * Limits as unit properties. The names and D-Bus types are those of systemd.resource-control(5) on the bus:
 * org.freedesktop.systemd1(5).
 */
export type Property = readonly [
  name: string,
  signature: string,
  value: number | number[] | [string, number][],
];

export function numberProperty(name: string): (value: number) => Property[] {
  return (value) => [[name, "t", value]];
}

export function quotaProperties({ quotaUsec, periodUsec }: CpuMax): Property[] {
  if (quotaUsec === "max") return [];
  return [
    ["CPUQuotaPerSecUSec", "t", Math.floor((quotaUsec * 1e6) / periodUsec)],
    ["CPUQuotaPeriodUSec", "t", periodUsec],
  ];
}

/** Returns one bit for each CPU; the first byte is for CPU 0 to 7. */
export function cpuMaskProperty(list: string): Property[] {
  const cpus = parseCpuList(list) ?? [];
  const mask = new Array<number>(Math.floor((cpus.at(-1) ?? 0) / 8) + 1).fill(0);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return [["AllowedCPUs", "ay", mask]];
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
    const rates = limited.map((max): [string, number] => [`/dev/block/${max.device}`, max[rate] as number]);
    return limited.length === 0 ? [] : [[name, "a(st)", rates]];
  });
}
