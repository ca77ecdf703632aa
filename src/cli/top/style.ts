/** How a screen may look: what the terminal and its user allow. */
export interface Style {
  readonly hasColor: boolean;
  readonly hasUnicode: boolean;
}

/** https://no-color.org; locale(7): the first of these variables that is set counts. */
export function styleOf(environment: NodeJS.ProcessEnv): Style {
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
  return {
    hasColor: !environment["NO_COLOR"] && environment["TERM"] !== "dumb",
    hasUnicode: /utf-?8/i.test(locale),
  };
}

/** SGR parameters, ECMA-48. The 16 basic colors follow the theme of the terminal. */
const CODES = {
  bold: "1",
  dim: "2",
  inverse: "7",
  red: "31",
  green: "32",
  yellow: "33",
  cyan: "36",
} as const;

export function paint({ hasColor }: Style, code: keyof typeof CODES, text: string): string {
  return hasColor && text !== "" ? `\u001b[${CODES[code]}m${text}\u001b[0m` : text;
}

const BLOCKS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII_LEVELS = ["_", ".", "-", "=", "+", "*", "%", "#"];

/** Returns a character for each value, of which `max` has the highest. A value that is `null` is a blank. */
export function sparkline({ hasUnicode }: Style, values: readonly (number | null)[], max: number): string {
  const levels = hasUnicode ? BLOCKS : ASCII_LEVELS;
  return values
    .map((value) => {
      if (value === null) return " ";
      const level = Math.floor((value / max) * levels.length);
      return levels[Math.max(0, Math.min(level, levels.length - 1))];
    })
    .join("");
}

/** Returns a bar of `width` characters, filled in proportion to `part`, 0 to 1. */
export function bar({ hasUnicode }: Style, part: number, width: number): string {
  const eighths = Math.round(Math.max(0, Math.min(part, 1)) * width * 8);
  const whole = Math.floor(eighths / 8);
  if (!hasUnicode) return "#".repeat(whole).padEnd(width, ".");
  const rest = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8] ?? "";
  return `${"█".repeat(whole)}${rest}`.padEnd(width);
}

/** The characters that a screen needs beyond ASCII, and what stands for them without Unicode. */
export function symbols({ hasUnicode }: Style) {
  return hasUnicode
    ? { rule: "─", hindered: "▲", running: "●", note: "└", none: "–", dot: "·", into: "›", cut: "…" }
    : { rule: "-", hindered: "!", running: "*", note: "\\", none: "-", dot: "|", into: ">", cut: "~" };
}
