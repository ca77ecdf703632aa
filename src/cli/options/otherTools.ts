import { oneLine } from "../../sys/visibleText.ts";

interface OwnOption {
  /** The option here, with what is different about it. */
  readonly hint: string;
  /** The commands that have it. */
  readonly commands: readonly string[];
}

const START = ["run"];
const NAMED = ["run", "exec", "attach"];
const LIMITED = [...NAMED, "watch", "limits"];

const MEMORY: OwnOption = {
  hint: "--memory-limit 2GiB, which slows the job above it, or --memory-max 2GiB, where the kernel may kill",
  commands: LIMITED,
};
const SHARES: OwnOption = { hint: "--cpu-weight 100; 1024 shares are a weight of 100", commands: LIMITED };
const NAME: OwnOption = { hint: "--job-id NAME", commands: NAMED };
const PROPERTY: OwnOption = {
  hint: "--cpu-quota 150 for CPUQuota=150%, --memory-max 2GiB for MemoryMax=2G",
  commands: LIMITED,
};
const ENVIRONMENT: OwnOption = { hint: "--setenv NAME=VALUE", commands: START };

/** The options here for those of Docker, systemd-run and nice, which people write out of habit. */
const OTHER_TOOLS: Record<string, OwnOption> = {
  "--memory": MEMORY,
  "-m": MEMORY,
  "--memory-reservation": { hint: "--memory-limit 2GiB", commands: LIMITED },
  "--cpuset-cpus": { hint: "--cpus 0-3", commands: LIMITED },
  "--cpu-shares": SHARES,
  "-c": SHARES,
  "--cpu-period": { hint: '--cpu-max "150000 100000", a quota and its period in µs', commands: LIMITED },
  "--pids-limit": { hint: "--pids-max 100", commands: LIMITED },
  "--device-read-bps": { hint: '--io-max "/dev/sda rbps=10MB/s"', commands: LIMITED },
  "--device-write-bps": { hint: '--io-max "/dev/sda wbps=10MB/s"', commands: LIMITED },
  "--device-read-iops": { hint: '--io-max "/dev/sda riops=500"', commands: LIMITED },
  "--device-write-iops": { hint: '--io-max "/dev/sda wiops=500"', commands: LIMITED },
  "--property": PROPERTY,
  "-p": PROPERTY,
  "--name": NAME,
  "--unit": NAME,
  "-n": { hint: "--nice 10", commands: LIMITED },
  "--uid": { hint: "--user NAME", commands: START },
  "--env": ENVIRONMENT,
  "-e": ENVIRONMENT,
  "-E": ENVIRONMENT,
  "--working-directory": { hint: "--workdir DIR", commands: ["run", "exec"] },
  "--wait": { hint: "without it: run waits, unless --detach is given", commands: START },
  "--rm": { hint: "without it: an ended job leaves a record, and no container", commands: START },
};

const UNKNOWN_COMMAND = /^ffrtmp: unknown command '(.*)'$/;

/** The calls here for commands of Docker, systemctl and supervisorctl. */
const OTHER_COMMANDS: Record<string, string> = {
  stop: "kill PID, or kill -- -PID for a job of run with all its processes: ffrtmp sends no signal",
  kill: "kill PID, or kill -- -PID for a job of run with all its processes: ffrtmp sends no signal",
  restart: "the program that starts the job: ffrtmp restarts nothing",
  start: "ffrtmp run --detach -- CMD",
  rm: "ffrtmp prune, for the records of ended jobs",
  status: "ffrtmp inspect JOB, or ffrtmp ps",
  show: "ffrtmp inspect JOB",
  list: "ffrtmp ps",
  ls: "ffrtmp ps",
  jobs: "ffrtmp ps",
  update: "ffrtmp limits set JOB",
  version: "ffrtmp --version",
  "fleet nodes": "ffrtmp fleet ps",
  "fleet status": "ffrtmp fleet ps",
  "fleet list": "ffrtmp fleet ps",
  "fleet ls": "ffrtmp fleet ps",
};

/**
 * Returns a fault of the command line as messages of ffrtmp are: one line whatever the arguments contain, and then what to try.
 * It names the option or the command that does here what an unknown one does in another tool.
 */
export function explainFault(text: string): string {
  // error: unknown option '--cpu-qota'
  // (Did you mean --cpu-quota?)
  const [, fault = text, similar] =
    /^(.*?)(?:\n\(Did you mean (?:one of )?(.*)\?\))?$/s.exec(text.trimEnd()) ?? [];
  const hint =
    ownOptionFor(fault) ??
    ownCommandFor(fault) ??
    (isWithoutCommand(fault) ? exampleOf(commandName()) : similar && callOf(fault, similar));
  // The lines of the help are no fault: they are indented.
  const line = fault.startsWith(" ") ? fault : oneLine(fault);
  return `${line}\n${hint === undefined ? "" : `  try: ${hint}\n`}`;
}

function ownOptionFor(fault: string): string | undefined {
  const flag = /^ffrtmp: unknown option '([^'=]+)/.exec(fault)?.[1] ?? "";
  const own = Object.hasOwn(OTHER_TOOLS, flag) ? OTHER_TOOLS[flag] : undefined;
  return own?.commands.includes(commandName()) ? own.hint : undefined;
}

function ownCommandFor(fault: string): string | undefined {
  const path = [...commandsBefore(fault), UNKNOWN_COMMAND.exec(fault)?.[1]].join(" ");
  return Object.hasOwn(OTHER_COMMANDS, path) ? OTHER_COMMANDS[path] : undefined;
}

/** Returns a whole command line for the name of a command; an option stays as it is. */
function callOf(fault: string, similar: string): string {
  return UNKNOWN_COMMAND.test(fault) ? ["ffrtmp", ...commandsBefore(fault), similar].join(" ") : similar;
}

/** Returns the commands before an unknown one: `fleet` of `ffrtmp fleet psx`. */
function commandsBefore(fault: string): string[] {
  const words = process.argv.slice(2);
  return words.slice(0, Math.max(0, words.indexOf(UNKNOWN_COMMAND.exec(fault)?.[1] ?? "")));
}

function isWithoutCommand(fault: string): boolean {
  return fault === "ffrtmp: missing required argument 'cmd'";
}

function exampleOf(command: string): string {
  return `ffrtmp ${command} --cpu-quota 150 -- ffmpeg -nostdin …`;
}

function commandName(): string {
  return process.argv[2] ?? "";
}
