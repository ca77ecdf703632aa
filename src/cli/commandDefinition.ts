import type { Command } from "commander";

// biome-ignore lint/suspicious/noExplicitAny: commander hands over arguments and options by position
export type Handler = (...args: any[]) => Promise<number> | number;

export type CommandDefinition = { description: string; isHidden?: boolean } & (
  | {
      define(command: Command): Command;
      /** Loads the command's code, and no other command's: the start of `run` delays its workload. */
      load(): Promise<Handler>;
    }
  | { subcommands: Record<string, CommandDefinition> }
);
