/** One way to write a value, in options and policy files alike. */
export interface Spelling {
  /** The kind of value: the placeholder of `--memory-max <size>`. */
  value: "percent" | "size" | "rate" | "list" | "time";
  examples: string[];
  meaning: string;
}

/** The notations that the parsers accept, for help texts, manuals and docs/policy.md. Those of one kind are adjacent. */
export const SPELLINGS: Spelling[] = [
  { value: "percent", examples: ["150", "150%", "1.5 cores"], meaning: "of CPU time; 100 is one core" },
  {
    value: "size",
    examples: ["512M", "512MiB", "1.5G"],
    meaning: "K, M, G, T and KiB, MiB, … count in 1024",
  },
  { value: "size", examples: ["500kB", "2GB"], meaning: "kB, MB, GB, TB count in 1000" },
  {
    value: "size",
    examples: ["2048"],
    meaning: "without a unit: MiB for the soft memory limit, bytes elsewhere",
  },
  {
    value: "rate",
    examples: ["50MB/s", "10M", "500/s", "500", "max"],
    meaning: "per second: bytes (rbps, wbps) or operations (riops, wiops)",
  },
  { value: "list", examples: ["0-3,8"], meaning: "CPU numbers and ranges" },
  { value: "time", examples: ["500ms", "5s", "1m30s", "24h", "7d"], meaning: "without a unit: seconds" },
];

/** Returns the notations of the values that options with these placeholders accept. */
export function spellingsOf(placeholders: readonly string[]): Spelling[] {
  return SPELLINGS.filter(({ value }) => placeholders.some((name) => name.endsWith(value)));
}
