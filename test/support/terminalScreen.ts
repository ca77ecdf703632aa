/** What a terminal shows after the output of `ffrtmp top`. It knows the control sequences that top uses, and throws for others. */
export class TerminalScreen {
  #columns: number;
  #lines: string[];
  #row = 0;
  #column = 0;
  /** The modes of DECSET that are set. */
  readonly modes = new Set<number>([7, 25]);
  /** Everything that was written while the alternate screen was not shown. */
  outside = "";
  #rest = "";

  constructor({ columns, rows }: { columns: number; rows: number }) {
    this.#columns = columns;
    this.#lines = Array<string>(rows).fill("");
  }

  /** Forgets what is shown: a program has to draw all of it again. */
  resize({ columns, rows }: { columns: number; rows: number }): void {
    this.#columns = columns;
    this.#lines = Array<string>(rows).fill("");
  }

  get lines(): string[] {
    return this.#lines.map((line) => line.trimEnd());
  }

  get text(): string {
    return this.lines.join("\n");
  }

  get isAlternate(): boolean {
    return this.modes.has(1049);
  }

  write(output: string): void {
    const all = this.#rest + output;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals get them
    const parts = all.match(/\u001b\[[0-9;?]*[A-Za-z]|\u001b(?:\[[0-9;?]*)?$|[\s\S]/gu) ?? [];
    this.#rest = "";
    for (const part of parts) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the same
      if (/^\u001b(?:\[[0-9;?]*)?$/.test(part)) this.#rest = part;
      else if (part.startsWith("\u001b")) this.#control(part.slice(2));
      else if (!this.isAlternate) this.outside += part;
      else this.#put(part);
    }
  }

  #control(sequence: string): void {
    const [, mode, numbers = "", name] = /^(\??)([0-9;]*)([A-Za-z])$/.exec(sequence) ?? [];
    if (mode === "?" && name === "h") this.modes.add(Number(numbers));
    else if (mode === "?" && name === "l") this.modes.delete(Number(numbers));
    else if (name === "m") return;
    else if (name === "H")
      [this.#row, this.#column] = numbers.split(";").map((each) => Number(each) - 1) as [number, number];
    else if (name === "K") this.#erase(this.#row);
    else if (name === "J") this.#eraseScreen(numbers === "2" ? 0 : this.#row);
    else throw new Error(`unexpected control sequence ESC [ ${sequence}`);
  }

  #put(character: string): void {
    const line = this.#lines[this.#row];
    if (character < " " || line === undefined)
      throw new Error(`unexpected ${JSON.stringify(character)} at ${this.#row}`);
    const width = Bun.stringWidth(character);
    // Wrapping is off: what does not fit is lost, as what a program wrote for the size before.
    if (this.#column + width > this.#columns) return;
    const before = cut(line, this.#column).padEnd(this.#column);
    const after = line.slice(cut(line, this.#column + width).length);
    this.#lines[this.#row] = `${before}${character}${after}`;
    this.#column += width;
  }

  #erase(row: number): void {
    this.#lines[row] = cut(this.#lines[row] ?? "", this.#column);
  }

  #eraseScreen(fromRow: number): void {
    if (fromRow === this.#row) this.#erase(fromRow);
    for (let row = fromRow === this.#row ? fromRow + 1 : fromRow; row < this.#lines.length; row++)
      this.#lines[row] = "";
  }
}

function cut(line: string, width: number): string {
  let kept = "";
  for (const { segment } of new Intl.Segmenter().segment(line)) {
    if (Bun.stringWidth(kept + segment) > width) break;
    kept += segment;
  }
  return kept;
}
