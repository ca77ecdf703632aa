import { type Command, InvalidArgumentError } from "commander";
import { Refusal } from "../../jobs/errors.ts";
import type { Identity } from "../../jobs/start/spawnAs.ts";
import { findUser, type UserAccount } from "../../linux/proc/userAccount.ts";
import { describeErrno } from "../../sys/errno.ts";

interface IdentityFlags {
  user?: string;
  setenv?: Record<string, string>;
  progress?: boolean;
}

/** Adds the options by which a command has another user and environment than ffrtmp. */
export function addIdentityOptions(command: Command): Command {
  return command
    .option("--user <name>", "start CMD as this user of /etc/passwd, with its groups; needs root")
    .option(
      "--setenv <name=value>",
      "set a variable in the environment of CMD, and not in that of ffrtmp; repeatable",
      parseVariable,
    );
}

/** Throws a Refusal where the command cannot be started as this user. */
export function identityFrom({ user: name, setenv, progress }: IdentityFlags): Identity {
  const variables = setenv === undefined ? {} : { variables: setenv };
  if (name === undefined) return variables;
  if (progress)
    throw new Refusal(
      "--progress is not possible with --user: the file of ffrtmp is not writable for that user",
      "omit one of them",
    );
  if (process.getuid?.() !== 0 || process.geteuid?.() !== 0)
    throw new Refusal(`cannot start a command as user ${name}: only root can`, "sudo ffrtmp run --user …");
  return { ...variables, user: requireUser(name) };
}

function requireUser(name: string): UserAccount {
  let user: UserAccount | undefined;
  try {
    user = findUser(name);
  } catch (error) {
    throw new Refusal(`cannot find user ${name}: /etc/passwd, /etc/group: ${describeErrno(error)}`);
  }
  if (user === undefined)
    throw new Refusal(
      `there is no user ${name} in /etc/passwd`,
      "useradd --system NAME, or name another user",
    );
  return user;
}

/** Adds `NAME=value` to the variables that were given before. The last one of a name counts. */
function parseVariable(text: string, earlier: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1)
    throw new InvalidArgumentError("Expected: the name of a variable, = and a value, such as TZ=UTC.");
  return { ...earlier, [text.slice(0, at)]: text.slice(at + 1) };
}
