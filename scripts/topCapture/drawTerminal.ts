/** In px: a character of the font at 14 px is 8.4 px wide in all common monospaced fonts. */
const [CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, MARGIN] = [8.4, 18, 14, 12];
const [BACKGROUND, FOREGROUND] = ["#14171c", "#d5d9e0"];
const COLORS: Record<string, string> = {
  "31": "#ff7b72",
  "32": "#56d364",
  "33": "#f0b354",
  "36": "#79c0ff",
};

interface Look {
  color: string;
  isBold: boolean;
  isInverse: boolean;
}

const PLAIN: Look = { color: FOREGROUND, isBold: false, isInverse: false };

/** Returns the picture of a terminal as SVG. `capture`: lines with the colors of ECMA-48, as `tmux capture-pane -e` prints them. */
export function drawTerminal(capture: string, { columns, rows }: { columns: number; rows: number }): string {
  const [width, height] = [columns * CELL_WIDTH + 2 * MARGIN, rows * CELL_HEIGHT + 2 * MARGIN];
  const lines = capture.split("\n").slice(0, rows);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" height="${round(height)}" font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="${FONT_SIZE}">`,
    "<title>The screen of ffrtmp top</title>",
    `<rect width="100%" height="100%" rx="8" fill="${BACKGROUND}"/>`,
    ...lines.flatMap(drawLine),
    "</svg>\n",
  ].join("\n");
}

function drawLine(line: string, row: number): string[] {
  const shapes: string[] = [];
  let look = PLAIN;
  let column = 0;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals send them
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the same
    const codes = /^\u001b\[([0-9;]*)m$/.exec(part)?.[1];
    if (codes !== undefined) {
      look = codes.split(";").reduce(withCode, look);
      continue;
    }
    shapes.push(...drawText(part, look, row, column));
    column += Bun.stringWidth(part);
  }
  return shapes;
}

function withCode(look: Look, code: string): Look {
  if (code === "" || code === "0") return PLAIN;
  if (code === "1") return { ...look, isBold: true };
  if (code === "2") return { ...look, color: "#8b949e" };
  if (code === "7") return { ...look, isInverse: true };
  if (code === "39") return { ...look, color: FOREGROUND };
  return COLORS[code] === undefined ? look : { ...look, color: COLORS[code] };
}

/** Words are placed one by one, so that a font of another width moves no column. */
function drawText(text: string, { color, isBold, isInverse }: Look, row: number, column: number): string[] {
  const top = MARGIN + row * CELL_HEIGHT;
  const xOf = (at: number) => round(MARGIN + at * CELL_WIDTH);
  const box = isInverse
    ? [
        `<rect x="${xOf(column)}" y="${top}" width="${round(text.length * CELL_WIDTH)}" height="${CELL_HEIGHT}" fill="${color}"/>`,
      ]
    : [];
  const fill = isInverse ? BACKGROUND : color;
  const words = [...text.matchAll(/\S+(?: \S+)*/g)].map(({ 0: word, index }) => {
    const place = `x="${xOf(column + index)}" y="${top + 13}" textLength="${round(word.length * CELL_WIDTH)}"`;
    return `<text ${place} lengthAdjust="spacingAndGlyphs" fill="${fill}"${isBold ? ' font-weight="bold"' : ""} xml:space="preserve">${escapeXml(word)}</text>`;
  });
  return [...box, ...words];
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
