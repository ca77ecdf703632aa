/** The largest CPU number that a list may name: what kernels are built for (CONFIG_NR_CPUS) ends below it. */
const MAX_CPU = 8191;

/** `0-3,8` → the CPU numbers, ascending. `undefined` for what the kernel would not take as a list. */
export function parseCpuList(text: string): number[] | undefined {
  const cpus = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (!match) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > MAX_CPU) return undefined;
    for (let cpu = first; cpu <= last; cpu++) cpus.add(cpu);
  }
  return [...cpus].sort((a, b) => a - b);
}
