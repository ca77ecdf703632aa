/** The macros of man(7), and what a text must be written as to be set as it is meant. */

/** A page of titled sections; those without lines are left out. */
export function page(
  title: readonly string[],
  sections: readonly [heading: string, lines: string[]][],
): string {
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .flatMap(([heading, lines]) => [`.SH ${quoted(heading)}`, ...withoutLeadingBreak(lines)]);
  return `.\\" Made from the definitions of ffrtmp.\n${[`.TH ${title.join(" ")}`, ...body].join("\n")}\n`;
}

/** Text that stands as it is, indented. */
export function example(text: string): string[] {
  return [".PP", ".RS 4", ".EX", ...text.split("\n").map(literal), ".EE", ".RE"];
}

export function tagged(term: string, text: string): string[] {
  return [".TP", term, text];
}

export function paragraph(text: string): string[] {
  return [".PP", prose(text)];
}

/** A heading begins a paragraph by itself; groff complains of a second one. */
function withoutLeadingBreak(lines: string[]): string[] {
  return lines[0] === ".PP" ? lines.slice(1) : lines;
}

export function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

/** Characters that are set as typographic ones where they are not named. */
const PLAIN: Record<string, string> = {
  "\\": "\\e",
  "~": "\\(ti",
  "^": "\\(ha",
  "`": "\\(ga",
  "'": "\\(aq",
  "-": "\\-",
};

/** What is typed as it stands, and can be copied. */
function literal(text: string): string {
  return line(text.replaceAll(/[\\~^`'-]/g, (letter) => PLAIN[letter] as string));
}

/** Prose, in which only options are typed as they stand. */
export function prose(text: string): string {
  const options = /(?<=^|[\s"(])--?[a-z][\w-]*/g;
  const plain = text.replaceAll(/[\\~^`]/g, (letter) => PLAIN[letter] as string);
  return line(plain.replaceAll(options, (option) => option.replaceAll("-", "\\-")));
}

/** What begins a line must not be taken for a request. */
function line(text: string): string {
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

/** An argument of a macro. */
export function quoted(text: string): string {
  return `"${prose(text).replaceAll('"', "\\(dq")}"`;
}
