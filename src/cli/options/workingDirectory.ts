import { accessSync, constants, statSync } from "node:fs";
import { resolve } from "node:path";
import { Refusal } from "../../jobs/errors.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";

/** Returns the workload's working directory as an absolute path. Throws a Refusal if it cannot be entered. */
export function checkWorkingDirectory(workdir: string | undefined): string {
  if (workdir === undefined) return resolve(".");
  if (workdir === "") throw new Refusal("--workdir is empty", "omit it to start in the current directory");
  const directory = resolve(workdir);
  const refuse = (because: string, hint?: string) => new Refusal(`--workdir ${workdir} ${because}`, hint);
  try {
    if (!statSync(directory).isDirectory()) throw refuse("is not a directory");
    accessSync(directory, constants.X_OK);
    return directory;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (errnoOf(error) === "ENOENT") throw refuse("does not exist", `mkdir -p ${directory}`);
    throw refuse(`cannot be entered: ${describeErrno(error)}`);
  }
}
