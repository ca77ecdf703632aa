/** Returns the command line that starts this program again: the compiled executable, or the runtime with the main file. */
export function ownCommand(...words: string[]): string[] {
  return [process.execPath, ...(Bun.main.startsWith("/$bunfs/") ? [] : [Bun.main]), ...words];
}
