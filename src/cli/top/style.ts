/** The style that the terminal and its user allow. */
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

export type Paint = keyof typeof CODES;

export function paint({ hasColor }: Style, code: Paint, text: string): string {
  return hasColor && text !== "" ? `\u001b[${CODES[code]}m${text}\u001b[0m` : text;
}

/** The characters that a screen needs beyond ASCII, and their replacements without Unicode. */
export function symbols({ hasUnicode }: Style) {
  return hasUnicode ? UNICODE : ASCII;
}

const UNICODE = {
  rule: "─",
  hindered: "▲",
  running: "●",
  idle: "○",
  note: "└",
  none: "–",
  dot: "·",
  into: "›",
  cut: "…",
  times: "×",
  sent: "→",
  received: "←",
  enter: "⏎",
  back: "←",
  limit: "┄",
};

const ASCII: typeof UNICODE = {
  rule: "-",
  hindered: "!",
  running: "*",
  idle: "o",
  note: "\\",
  none: "-",
  dot: "|",
  into: ">",
  cut: "~",
  times: "x",
  sent: "->",
  received: "<-",
  enter: "Enter",
  back: "Esc",
  limit: ".",
};
