import { type FileStatus, isAccessible, readStart, statusOf, X_OK } from "../../sys/files.ts";
import { resolvePath } from "../../sys/paths.ts";

const MISSING = "does not exist";
const NOT_EXECUTABLE = "is not executable";

/**
 * Finds the file of a command as execvp(3) does: in PATH, unless the command contains a slash. Called before anything else
 * is started, so that a missing command leaves no trace. Returns a fault with the exit code that shells use for it.
 */
export function findCommand(
  command: string,
  workingDirectory: string,
  searchPath: string | undefined,
): { path: string } | { exitCode: 126 | 127; because: string } {
  if (command === "")
    return { exitCode: 127, because: "the command is empty, most often because a variable is not set" };
  const isPath = command.includes("/");
  let fault: string | undefined;
  const directories = isPath ? "" : (searchPath ?? "/usr/local/bin:/usr/bin:/bin");
  for (let start = 0; start <= directories.length; ) {
    const colon = directories.indexOf(":", start);
    const end = colon < 0 ? directories.length : colon;
    const path = resolvePath(workingDirectory, directories.slice(start, end), command);
    start = end + 1;
    const because = faultIn(path, isPath ? command : path, workingDirectory);
    if (because === undefined) return { path };
    if (because !== MISSING) fault ??= because;
  }
  if (fault !== undefined) return { exitCode: 126, because: fault };
  const reason = isPath ? MISSING : `is not in PATH (${searchPath ?? "which is not set"})`;
  return { exitCode: 127, because: `${command} ${reason}` };
}

function faultIn(path: string, shown: string, workingDirectory: string): string | undefined {
  const fault = faultInFile(path);
  if (fault === MISSING) return MISSING;
  if (fault === NOT_EXECUTABLE) return `${shown} ${fault}: chmod +x it, or name its interpreter`;
  if (fault !== undefined) return `${shown} ${fault}`;
  // Checked separately: for a missing interpreter the kernel returns the errno of a missing script.
  const interpreter = readInterpreter(path);
  const itsFault = interpreter && faultInFile(resolvePath(workingDirectory, interpreter));
  if (!interpreter || !itsFault) return undefined;
  const named = `the first line of ${shown} names the interpreter ${JSON.stringify(interpreter)}`;
  return itsFault === MISSING && interpreter.endsWith("\r")
    ? `${named}: the script has Windows line ends, and the CR is part of the name (to fix it: sed -i 's/\\r$//' ${shown})`
    : `${named}, which ${itsFault}`;
}

function faultInFile(path: string): string | undefined {
  let status: FileStatus | undefined;
  try {
    status = statusOf(path);
  } catch {
    // ENOTDIR or EACCES on the way: treated as missing, as by execvp(3).
  }
  if (status === undefined) return MISSING;
  if (status.type === "directory") return "is a directory";
  if (status.type !== "file") return "is not a regular file";
  return isAccessible(path, X_OK) ? undefined : NOT_EXECUTABLE;
}

// #!/usr/bin/env bash
function readInterpreter(path: string): string | undefined {
  try {
    const head = readStart(path, MAX_HEAD_BYTES);
    // Few programs are scripts, and the first use of a pattern takes 0.05 ms.
    if (head[0] !== HASH || head[1] !== EXCLAMATION_MARK) return undefined;
    return /^#![ \t]*([^ \t\n\0]+)/.exec(UTF8.decode(head))?.[1];
  } catch {
    // A program need not be readable to be executed.
    return undefined;
  }
}

const HASH = 0x23;
const EXCLAMATION_MARK = 0x21;

/** The kernel searches this many bytes of a file for its interpreter: BINPRM_BUF_SIZE. */
const MAX_HEAD_BYTES = 256;
const UTF8 = new TextDecoder();
