import { accessSync, closeSync, constants, openSync, readSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";

/** The reason why a command cannot be started, with the exit code that shells use. */
export interface CommandFault {
  exitCode: 126 | 127;
  because: string;
}

/**
 * Finds the file of a command as execvp(3) does: in PATH, unless the command contains a slash.
 * Called before anything else is started, so that a missing command leaves no trace.
 */
export function findCommand(
  command: string,
  workingDirectory: string,
  searchPath: string | undefined,
): { path: string } | CommandFault {
  if (command === "")
    return { exitCode: 127, because: "the command is empty, most often because a variable is not set" };
  if (command.includes("/")) {
    const path = resolve(workingDirectory, command);
    const fault = faultIn(path, command, workingDirectory);
    return fault ?? { path };
  }
  let fault: CommandFault = {
    exitCode: 127,
    because: `${command} is not in PATH (${searchPath ?? "which is not set"})`,
  };
  for (const directory of (searchPath ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    const path = resolve(workingDirectory, directory, command);
    const faultHere = faultIn(path, path, workingDirectory);
    if (!faultHere) return { path };
    if (faultHere.exitCode === 126 && fault.exitCode === 127) fault = faultHere;
  }
  return fault;
}

function faultIn(path: string, shown: string, workingDirectory: string): CommandFault | undefined {
  const stat = statOf(path);
  if (stat === undefined) return { exitCode: 127, because: `${shown} does not exist` };
  if (stat.isDirectory()) return { exitCode: 126, because: `${shown} is a directory` };
  if (!stat.isFile()) return { exitCode: 126, because: `${shown} is not a regular file` };
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return { exitCode: 126, because: `${shown} is not executable: chmod +x it, or name its interpreter` };
  }
  const interpreter = readInterpreter(path);
  const because =
    interpreter && faultInInterpreter(interpreter, resolve(workingDirectory, interpreter), shown);
  return because ? { exitCode: 126, because } : undefined;
}

/** Checks the interpreter separately: for a missing one the kernel returns the errno of a missing script. */
function faultInInterpreter(interpreter: string, path: string, script: string): string | undefined {
  const named = `the first line of ${script} names the interpreter ${JSON.stringify(interpreter)}`;
  const stat = statOf(path);
  if (stat === undefined && interpreter.endsWith("\r"))
    return `${named}: the script has Windows line ends, and the CR is part of the name (to fix it: sed -i 's/\\r$//' ${script})`;
  if (stat === undefined) return `${named}, which does not exist`;
  if (stat.isDirectory()) return `${named}, which is a directory`;
  try {
    accessSync(path, constants.X_OK);
    return undefined;
  } catch {
    return `${named}, which is not executable`;
  }
}

/** The kernel searches this many bytes of a file for its interpreter: BINPRM_BUF_SIZE. */
const HEAD_BYTES = 256;

// #!/usr/bin/env bash
function readInterpreter(path: string): string | undefined {
  const head = Buffer.alloc(HEAD_BYTES);
  try {
    const fd = openSync(path, "r");
    try {
      readSync(fd, head);
    } finally {
      closeSync(fd);
    }
  } catch {
    // A program need not be readable to be executed.
    return undefined;
  }
  return /^#![ \t]*([^ \t\n\0]+)/.exec(head.toString())?.[1];
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // ENOTDIR or EACCES on the way: treated as missing, as by execvp(3).
    return undefined;
  }
}
