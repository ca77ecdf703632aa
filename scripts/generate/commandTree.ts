import type { Argument, Command, Help, Option } from "commander";
import { describeProgram } from "../../src/cli/program.ts";

/** What follows an option or a command: what is put in for it decides how it is completed. */
export interface Value {
  /** The placeholder without its brackets: `pid`, `dir`, `quota period`. */
  name: string;
  /** The only words that are taken; empty where anything may be. */
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
  /** As `--help` shows it, with its default and its choices. */
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
  /** Words behind its first argument are not its own but another command line's. */
  startsAnother: boolean;
}

/** The command line as data, read from the definitions and by the functions that `--help` uses. */
export function readCommandTree(): CommandNode {
  const program = describeProgram();
  return readCommand(program, program.createHelp(), []);
}

/** The command and all below it, from the top. */
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
