import { type Candidates, candidatesFor } from "./candidates.ts";
import { type CommandNode, flatten, type OptionNode } from "./commandTree.ts";

const LISTS: Record<Exclude<Candidates["kind"], "words">, string> = {
  directories: "_files -/",
  files: "_files",
  pids: "_ffrtmp_pids",
  jobs: "_ffrtmp_jobs",
  allJobs: "_ffrtmp_jobs all",
  commandNames: "_ffrtmp_command_names",
  nothing: " ",
};

/** Returns a completion function for a directory of zsh's `fpath`. */
export function zshCompletion(program: CommandNode): string {
  return `#compdef ffrtmp
# zsh completion for ffrtmp, made from its command definitions

# Lists the ids of the open jobs, or of all, in the state directory of the command line. Other arguments are of _arguments.
_ffrtmp_jobs() {
  local -a ids state ended
  (( \${+opt_args[--state-path]} )) && state=(--state-path \${(Q)opt_args[--state-path]})
  [[ \${@[-1]} == all ]] && ended=(--all --limit 50)
  ids=(\${(f)"$(_call_program jobs ffrtmp ps --quiet $ended $state 2>/dev/null)"})
  _wanted jobs expl job compadd -a ids
}

# Lists the processes of all users: governed processes rarely belong to the current terminal.
_ffrtmp_pids() {
  local -a pids=(/proc/<->(N:t))
  _wanted pids expl pid compadd -a pids
}

_ffrtmp_command_names() {
  _wanted commands expl command compadd -k commands
}

${flatten(program).map(commandFunction).join("\n")}
_ffrtmp "$@"
`;
}

/** Returns the function of one command. Subcommands have their own: `_ffrtmp-policy-check`. */
function commandFunction(command: CommandNode): string {
  const specs = command.options.map(optionSpec(command));
  if (command.commands.length === 0) {
    specs.push(...argumentSpecs(command));
    return `${nameOf(command)}() {\n  _arguments -s -S${specs.map(onOwnLine).join("")}\n}\n`;
  }
  const described = command.commands.map((child) => quote(`${child.words.at(-1)}:${child.text}`));
  const arms = command.commands.map((child) => `    ${child.words.at(-1)}) ${nameOf(child)} ;;`);
  specs.push("'1:command:->command'", "'*:: :->words'");
  return `${nameOf(command)}() {
  local curcontext=$curcontext state line
  # Not "commands": zsh itself has an array of that name.
  local -a described=(${described.map(onOwnLine).join("").replaceAll(" \\\n", "\n")}
  )
  _arguments -C${specs.map(onOwnLine).join("")} && return
  case $state in
  command) _describe command described ;;
  words)
    case $words[1] in
${arms.join("\n")}
    esac
    ;;
  esac
}
`;
}

function onOwnLine(spec: string): string {
  return ` \\\n    ${spec}`;
}

function nameOf(command: CommandNode): string {
  return `_${command.words.join("-")}`;
}

function optionSpec(command: CommandNode): (option: OptionNode) => string {
  return ({ short, long, value, text, repeatable }) => {
    const names = [short, long].filter((name) => name !== undefined);
    const before = repeatable ? "*" : names.length > 1 ? `(${names.join(" ")})` : "";
    // "+" and "=": the value may be part of the same word or the next word.
    const spelled = names.map((name) => (value === undefined ? name : name + (name === long ? "=" : "+")));
    const behind =
      value === undefined ? "" : `:${plain(value.name)}:${listOf(candidatesFor(command, value))}`;
    const rest = `[${plain(text)}]${behind}`;
    return spelled.length > 1
      ? `${quote(before)}{${spelled.join(",")}}${quote(rest)}`
      : quote(before + spelled[0] + rest);
  };
}

function argumentSpecs(command: CommandNode): string[] {
  if (command.startsAnother) return ["'(-)1:command:_ffrtmp_command_names'", "'*::arguments:_normal'"];
  return command.arguments.map((argument, index) => {
    const place = argument.variadic ? "*" : `${index + 1}`;
    return quote(`${place}:${plain(argument.name)}:${listOf(candidatesFor(command, argument))}`);
  });
}

function listOf(candidates: Candidates): string {
  return candidates.kind === "words" ? `(${candidates.words.join(" ")})` : LISTS[candidates.kind];
}

/** Escapes the characters that end a field or a description of _arguments. */
function plain(text: string): string {
  return text.replaceAll(/[[\]:\\]/g, "\\$&");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
