import type { Argument, Command, Help, Option } from "commander";
import { describeProgram } from "../../src/cli/program.ts";

/** The value of an option or an argument. Its placeholder decides how it is completed. */
export interface Value {
  /** The placeholder without its brackets: `pid`, `dir`, `quota period`. */
  name: string;
  /** The accepted words. Empty if any word is accepted. */
  choices: string[];
  required: boolean;
}

export interface OptionNode {
  /** `-p` */
  short: string | undefined;
  /** `--pid` */
  long: string;
  /** `undefined` for a switch. */
  value: Value | undefined;
  /** The text of `--help`, with default and choices. */
  text: string;
  mandatory: boolean;
  repeatable: boolean;
}

export interface ArgumentNode extends Value {
  text: string;
  variadic: boolean;
}

export interface CommandNode {
  /** The words to type: `["ffrtmp", "policy", "check"]`. */
  words: string[];
  text: string;
  arguments: ArgumentNode[];
  options: OptionNode[];
  commands: CommandNode[];
  /** The words after its first argument belong to another command line. */
  startsAnother: boolean;
}

/** Returns the command line as data, read from the definitions with the functions that `--help` uses. */
export function readCommandTree(): CommandNode {
  const program = describeProgram();
  return readCommand(program, program.createHelp(), []);
}

/** Returns the command and all its subcommands, from the top. */
export function flatten(command: CommandNode): CommandNode[] {
  return [command, ...command.commands.flatMap(flatten)];
}

function readCommand(command: Command, help: Help, parents: string[]): CommandNode {
  const words = [...parents, command.name()];
  const args = command.registeredArguments.map((argument) => readArgument(argument, help));
  return {
    words,
    text: command.description(),
    arguments: args,
    options: help.visibleOptions(command).map((option) => readOption(option, help)),
    commands: help
      .visibleCommands(command)
      .filter((child) => child.name() !== "help")
      .map((child) => readCommand(child, help, words)),
    startsAnother: args.some(({ name, variadic }) => name === "cmd" && variadic),
  };
}

function readArgument(argument: Argument, help: Help): ArgumentNode {
  return {
    name: argument.name(),
    choices: argument.argChoices ?? [],
    required: argument.required,
    text: help.argumentDescription(argument),
    variadic: argument.variadic,
  };
}

function readOption(option: Option, help: Help): OptionNode {
  if (option.long === undefined || option.long === null)
    throw new Error(`${option.flags} has no long form: completions and manuals are made from it`);
  const [, name] = /[<[]([^>\]]+)[>\]]/.exec(option.flags) ?? [];
  const text = help.optionDescription(option);
  return {
    short: option.short ?? undefined,
    long: option.long,
    value:
      name === undefined ? undefined : { name, choices: option.argChoices ?? [], required: option.required },
    text,
    mandatory: option.mandatory,
    repeatable: option.variadic || /\brepeatable\b/.test(text),
  };
}
