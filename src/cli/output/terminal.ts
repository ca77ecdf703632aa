import { readTerminalSize } from "../../sys/terminal.ts";

export function isStdoutTerminal(): boolean {
  return readTerminalSize(1) !== undefined;
}

/**
 * Returns the width for a table on stdout; `undefined` where nothing is to be cut: in a pipe or a file, which a program may
 * read, on a terminal that does not say how wide it is, and with `--no-trunc`.
 */
export function tableWidth({ trunc = true }: { trunc?: boolean } = {}): number | undefined {
  const size = trunc ? readTerminalSize(1) : undefined;
  return size === undefined || size === "unknown" ? undefined : size.columns;
}
