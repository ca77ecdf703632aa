import type { Command } from "commander";

// biome-ignore lint/suspicious/noExplicitAny: commander hands over arguments and options by position
export type Handler = (...args: any[]) => Promise<number> | number;

/** `group`: the heading above the command in the help of its parent. */
export type CommandDefinition = { description: string; isHidden?: boolean; group?: string } & (
  | {
      define(command: Command): Command;
      /** Loads the command's code, and no other command's: the start of `run` delays its workload. */
      load(): Promise<Handler>;
    }
  | { subcommands: Record<string, CommandDefinition> }
);
