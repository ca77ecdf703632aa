import { type Candidates, candidatesFor } from "./candidates.ts";
import { type CommandNode, flatten, type OptionNode } from "./commandTree.ts";

const LISTS: Record<Exclude<Candidates["kind"], "words">, string> = {
  directories: "_ffrtmp_names -d",
  files: "_ffrtmp_names -f",
  pids: '_ffrtmp_names -W "$(cd /proc && echo [0-9]*)"',
  jobs: '_ffrtmp_names -W "$(_ffrtmp_jobs)"',
  allJobs: '_ffrtmp_names -W "$(_ffrtmp_jobs --all --limit 50)"',
  commandNames: "_ffrtmp_names -c",
  nothing: "",
};

/** Returns a script for bash 4.4 and later, with or without the bash-completion package. */
export function bashCompletion(program: CommandNode): string {
  const commands = flatten(program);
  return `# bash completion for ffrtmp, made from its command definitions

# Lists the job ids that "ps" prints with these options for the state directory on the command line.
_ffrtmp_jobs() {
  local i state=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == --state-path ]] && state=(--state-path "\${COMP_WORDS[i + 1]}")
  done
  "\${COMP_WORDS[0]}" ps --quiet "$@" "\${state[@]}" 2>/dev/null
}

# Lists the candidates of one of compgen's kinds that start with the current word.
_ffrtmp_names() {
  [[ $1 == -W ]] || compopt -o filenames
  mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

# Completes the rest of the line, from the given word, as another command's own.
_ffrtmp_other_command() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif ((COMP_CWORD == $1)); then
    _ffrtmp_names -c
  else
    _ffrtmp_names -f
  fi
}

_ffrtmp_takes_value() {
  case "$1 $2" in
${commands.flatMap(takesValueArm).join("\n")}
    *) return 1 ;;
  esac
}

_ffrtmp() {
  local cur=\${COMP_WORDS[COMP_CWORD]} option= command=ffrtmp first=1 place=0 i word
  COMPREPLY=()

  # Commands come first, with nothing before or between them.
  for ((; first < COMP_CWORD; first++)); do
    case "$command \${COMP_WORDS[first]}" in
      ${alternatives(commands.slice(1).map(wordsOf))}) command+=" \${COMP_WORDS[first]}" ;;
      *) break ;;
    esac
  done

  for ((i = first; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == = ]]; then
      continue
    elif [[ -n $option ]]; then
      option=
    elif [[ $word == -- || $word != -* ]]; then
      case $command in
        ${alternatives(commands.filter(({ startsAnother }) => startsAnother).map(wordsOf))})
          [[ $word != -- ]] || i=$((i + 1))
          _ffrtmp_other_command "$i"
          return
          ;;
      esac
      [[ $word == -- ]] || place=$((place + 1))
    elif _ffrtmp_takes_value "$command" "$word"; then
      option=$word
    fi
  done

  if [[ -n $option ]]; then
    [[ $cur != = ]] || cur=
    case "$command $option" in
${commands.flatMap(valueArms).join("\n")}
    esac
  elif [[ $cur == -* ]]; then
    case $command in
${commands.map(optionsArm).join("\n")}
    esac
  else
    case "$command $place" in
${commands.flatMap(placeArms).join("\n")}
    esac
  fi
}

complete -F _ffrtmp ffrtmp
`;
}

function takesValueArm(command: CommandNode): string[] {
  const taking = command.options.filter(({ value }) => value?.required);
  return taking.length === 0 ? [] : [`    ${optionPatterns(command, taking)}) return 0 ;;`];
}

function valueArms(command: CommandNode): string[] {
  return command.options.flatMap((option) => {
    const list = option.value ? listOf(candidatesFor(command, option.value)) : "";
    return list === "" ? [] : [`      ${optionPatterns(command, [option])}) ${list} ;;`];
  });
}

function optionsArm(command: CommandNode): string {
  return `      ${quote(wordsOf(command))}) ${listOf({ kind: "words", words: command.options.map(({ long }) => long) })} ;;`;
}

/** Returns a case arm for each position after the command. */
function placeArms(command: CommandNode): string[] {
  const words = wordsOf(command);
  if (command.commands.length > 0) {
    const names = command.commands.map((child) => child.words.at(-1) as string);
    return [`      ${quote(`${words} 0`)}) ${listOf({ kind: "words", words: names })} ;;`];
  }
  if (command.startsAnother) return [`      ${quote(`${words} 0`)}) _ffrtmp_other_command "$COMP_CWORD" ;;`];
  return command.arguments.flatMap((argument, index) => {
    const list = listOf(candidatesFor(command, argument));
    return list === "" ? [] : [`      ${quote(`${words} `)}${argument.variadic ? "*" : index}) ${list} ;;`];
  });
}

function listOf(candidates: Candidates): string {
  if (candidates.kind !== "words") return LISTS[candidates.kind];
  return `_ffrtmp_names -W ${quote(candidates.words.join(" "))}`;
}

function optionPatterns(command: CommandNode, options: OptionNode[]): string {
  const names = options.flatMap(({ short, long }) => (short === undefined ? [long] : [short, long]));
  return alternatives(names.map((name) => `${wordsOf(command)} ${name}`));
}

function alternatives(texts: string[]): string {
  return texts.map(quote).join(" | ");
}

function wordsOf(command: CommandNode): string {
  return command.words.join(" ");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
