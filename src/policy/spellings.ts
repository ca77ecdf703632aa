/** One way to write a value, for options and policy files alike. */
export interface Spelling {
  /** What options call such a value: the placeholder of `--memory-max <size>`. */
  value: "percent" | "size" | "rate" | "list" | "time";
  examples: string[];
  meaning: string;
}

/** What help, manuals and docs/policy.md say of the parsers in values.ts. Those of one kind follow each other. */
export const SPELLINGS: Spelling[] = [
  {
    value: "percent",
    examples: ["150", "150%", "1.5 cores"],
    meaning: "of CPU time, 100 being all that one core has",
  },
  {
    value: "size",
    examples: ["512M", "512MiB", "1.5G"],
    meaning: "K, M, G, T and KiB, MiB, GiB, TiB count in 1024",
  },
  { value: "size", examples: ["500kB", "2GB"], meaning: "kB, MB, GB, TB count in 1000" },
  {
    value: "size",
    examples: ["2048"],
    meaning: "a bare number: MiB for the soft memory limit, bytes elsewhere",
  },
  {
    value: "rate",
    examples: ["50MB/s", "10M", "500/s", "500", "max"],
    meaning: "each second: bytes (rbps, wbps) or operations (riops, wiops)",
  },
  { value: "list", examples: ["0-3,8"], meaning: "numbers of CPUs and spans of them" },
  {
    value: "time",
    examples: ["500ms", "5s", "1m30s", "24h", "7d"],
    meaning: "a bare number is seconds",
  },
];

/** Those of the kinds that options with these placeholders take. */
export function spellingsOf(placeholders: readonly string[]): Spelling[] {
  return SPELLINGS.filter(({ value }) => placeholders.some((name) => name.endsWith(value)));
}
