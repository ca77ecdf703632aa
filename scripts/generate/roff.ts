/** The macros of man(7), and the escapes that text needs in them. */

/** Returns a page of titled sections. Sections without lines are left out. */
export function page(
  title: readonly string[],
  sections: readonly [heading: string, lines: string[]][],
): string {
  const body = sections
    .filter(([, lines]) => lines.length > 0)
    .flatMap(([heading, lines]) => [`.SH ${quoted(heading)}`, ...withoutLeadingBreak(lines)]);
  return `.\\" Generated from the definitions of ffrtmp.\n${[`.TH ${title.join(" ")}`, ...body].join("\n")}\n`;
}

/** Returns preformatted text, indented. */
export function example(text: string): string[] {
  return [".PP", ".RS 4", ".EX", ...text.split("\n").map(literal), ".EE", ".RE"];
}

export function tagged(term: string, text: string): string[] {
  return [".TP", term, text];
}

export function paragraph(text: string): string[] {
  return [".PP", prose(text)];
}

/** Removes a leading `.PP`. A heading starts a paragraph itself, and groff warns about a second one. */
function withoutLeadingBreak(lines: string[]): string[] {
  return lines[0] === ".PP" ? lines.slice(1) : lines;
}

export function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

/** Escapes for characters that groff would replace by typographic ones. */
const PLAIN: Record<string, string> = {
  "\\": "\\e",
  "~": "\\(ti",
  "^": "\\(ha",
  "`": "\\(ga",
  "'": "\\(aq",
  "-": "\\-",
};

/** Escapes text that the reader types or copies. */
function literal(text: string): string {
  return line(text.replaceAll(/[\\~^`'-]/g, (letter) => PLAIN[letter] as string));
}

/** Escapes prose, in which the reader types only the options. */
export function prose(text: string): string {
  const options = /(?<=^|[\s"(])--?[a-z][\w-]*/g;
  const plain = text.replaceAll(/[\\~^`]/g, (letter) => PLAIN[letter] as string);
  return line(plain.replaceAll(options, (option) => option.replaceAll("-", "\\-")));
}

/** Keeps groff from reading the start of a line as a request. */
function line(text: string): string {
  return /^[.']/.test(text) ? `\\&${text}` : text;
}

/** Returns an argument of a macro. */
export function quoted(text: string): string {
  return `"${prose(text).replaceAll('"', "\\(dq")}"`;
}
