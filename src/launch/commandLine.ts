/** A command line `ffrtmp run WORDS… -- COMMAND…`, taken apart without knowing the options. */
export interface RunLine {
  /** The words between `run` and the first `--`. */
  words: string[];
  command: string[];
}

/** Options that decide where the state directory is, which has to be known before any record is read. */
const STATE_OPTION = "--state-path";

/**
 * Takes the arguments of a process apart; `undefined` for anything but a `run` with `--`. The parser of options reads the
 * words alike whatever the command is, unless an option without its value comes last and takes the `--`: then it reads on, so
 * that a command must not look like an option.
 */
export function readRunLine(argv: readonly string[]): RunLine | undefined {
  if (argv[2] !== "run") return undefined;
  const at = argv.indexOf("--", 3);
  const first = argv[at + 1];
  if (at < 0 || first === undefined || first === "" || first.startsWith("-")) return undefined;
  const words = argv.slice(3, at);
  // Loops here and in what a repeated launch calls: each method of arrays that takes a function is compiled at its first use.
  for (const word of words) if (word.startsWith(STATE_OPTION)) return undefined;
  return { words, command: argv.slice(at + 1) };
}

/** Returns whether the parser of options has found this command, and so has read the same words as options. */
export function hasCommand({ command }: RunLine, parsed: readonly string[]): boolean {
  return command.length === parsed.length && command.every((word, index) => word === parsed[index]);
}
