import { type Candidates, candidatesFor } from "./candidates.ts";
import { type CommandNode, flatten, type OptionNode } from "./commandTree.ts";

/** The arguments of `complete` for each kind of value: `-x` offers only the list, `-r` files too. */
const LISTS: Record<Exclude<Candidates["kind"], "words">, string> = {
  directories: "-x -a '(__fish_complete_directories)'",
  files: "-r -F",
  pids: "-x -a '(__fish_complete_pids)'",
  jobs: "-x -a '(__ffrtmp_jobs)'",
  allJobs: "-x -a '(__ffrtmp_jobs --all --limit 50)'",
  commandNames: "-x -a '(__fish_complete_command)'",
  nothing: "-x",
};

/** Returns a script for fish 3.0 and later. */
export function fishCompletion(program: CommandNode): string {
  return `# fish completion for ffrtmp, made from its command definitions

# Succeeds if the line's command is the one that the arguments name.
function __ffrtmp_at
    set -l words (commandline -opc)
    set -l last (math 1 + (count $argv))
    test (count $words) -ge $last; and test "$words[2..$last]" = "$argv"
end

function __ffrtmp_at_top
    test (count (commandline -opc)) -eq 1
end

# Succeeds if the line's command is the one that the arguments name, and is the last word: a subcommand comes next.
function __ffrtmp_ends_at
    test (count (commandline -opc)) -eq (math 1 + (count $argv)); and __ffrtmp_at $argv
end

# Lists the job ids that "ps" prints with these options for the state directory on the command line.
function __ffrtmp_jobs
    set -l words (commandline -opc)
    set -l state
    if set -l at (contains -i -- --state-path $words)
        set state --state-path $words[(math $at + 1)]
    end
    ffrtmp ps --quiet $argv $state 2>/dev/null
end

# Completes the line after "--" as another command's own.
function __ffrtmp_other_command
    set -l words (commandline -opc)
    if set -l at (contains -i -- -- $words)
        set -l own $words[(math $at + 1)..] (commandline -ct)
        complete -C (string join ' ' -- (string escape -- $own[1..-2]) $own[-1])
    else
        __fish_complete_subcommand --fcs-skip=2
    end
end

complete -c ffrtmp -f
${flatten(program).flatMap(linesOf).join("\n")}
`;
}

function linesOf(command: CommandNode): string[] {
  const below = command.words.slice(1).join(" ");
  const here = below === "" ? "__ffrtmp_at_top" : `__ffrtmp_at ${below}`;
  const next = below === "" ? "__ffrtmp_at_top" : `__ffrtmp_ends_at ${below}`;
  const lines = command.commands.map(
    (child) => `complete -c ffrtmp -n '${next}' -a ${child.words.at(-1)} -d ${quote(child.text)}`,
  );
  lines.push(...command.options.map((option) => optionLine(command, option, here)));
  if (command.commands.length > 0) return lines;
  if (command.startsAnother) lines.push(`complete -c ffrtmp -n '${here}' -x -a '(__ffrtmp_other_command)'`);
  else
    for (const argument of command.arguments) {
      const list = listOf(candidatesFor(command, argument));
      if (list !== LISTS.nothing) lines.push(`complete -c ffrtmp -n '${here}' ${list}`);
    }
  return lines;
}

function optionLine(command: CommandNode, { short, long, value, text }: OptionNode, here: string): string {
  const names = `${short === undefined ? "" : `-s ${short.slice(1)} `}-l ${long.slice(2)}`;
  const list = value === undefined ? "" : ` ${listOf(candidatesFor(command, value))}`;
  return `complete -c ffrtmp -n '${here}' ${names}${list} -d ${quote(text)}`;
}

function listOf(candidates: Candidates): string {
  return candidates.kind === "words" ? `-x -a ${quote(candidates.words.join(" "))}` : LISTS[candidates.kind];
}

function quote(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
