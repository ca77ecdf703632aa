import { accessSync, constants, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";

/** Why a command cannot be started, in the words and with the exit code that shells use. */
export interface CommandFault {
  exitCode: 126 | 127;
  because: string;
}

/**
 * The file that a command names: searched in PATH unless it holds a slash, as execvp(3) does.
 * Found before anything is begun, so that a missing command leaves no trace.
 */
export function findCommand(
  command: string,
  workingDirectory: string,
  searchPath: string | undefined,
): { path: string } | CommandFault {
  if (command === "") return { exitCode: 127, because: "the command is an empty word" };
  if (command.includes("/")) {
    const path = resolve(workingDirectory, command);
    const fault = faultIn(path, command);
    return fault ?? { path };
  }
  let fault: CommandFault = {
    exitCode: 127,
    because: `${command} is not in PATH (${searchPath ?? "which is not set"})`,
  };
  for (const directory of (searchPath ?? "/usr/local/bin:/usr/bin:/bin").split(":")) {
    const path = resolve(workingDirectory, directory, command);
    const faultHere = faultIn(path, path);
    if (!faultHere) return { path };
    if (faultHere.exitCode === 126 && fault.exitCode === 127) fault = faultHere;
  }
  return fault;
}

function faultIn(path: string, shown: string): CommandFault | undefined {
  const stat = statOf(path);
  if (stat === undefined) return { exitCode: 127, because: `${shown} does not exist` };
  if (stat.isDirectory()) return { exitCode: 126, because: `${shown} is a directory` };
  try {
    accessSync(path, constants.X_OK);
    return undefined;
  } catch {
    return { exitCode: 126, because: `${shown} is not executable: chmod +x it, or name its interpreter` };
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // ENOTDIR, EACCES on the way: as good as not there, as execvp(3) takes it too.
    return undefined;
  }
}
