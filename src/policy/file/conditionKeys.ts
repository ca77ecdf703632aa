import { z } from "zod";
import { parseDuration, ValueFault } from "../../limits/units.ts";
import { SCHEDULER_LABELS, type SchedulerLabel } from "../../linux/proc/schedulers.ts";
import * as conditions from "../conditions.ts";
import { compileNamePattern } from "../namePattern.ts";
import { compileDirectoryPattern, compilePathPattern, compilePattern } from "../pattern.ts";
import { anyNumber, number, oneOrMore, text, value, yesOrNo } from "./leaves.ts";

/** The keys of `filters` and `match`, for validation, the JSON Schema, the manual and decisions. */

type Condition = conditions.Condition;
export type Compiled = Condition | Condition[];
type Compile<T> = (key: string, values: T) => Compiled;

const COMPILERS = new Map<z.ZodType, Compile<never>>();

/** Returns the schema of a key that `compile` makes a condition of. */
function key<S extends z.ZodType>(values: S, meaning: string, compile: Compile<NonNullable<z.output<S>>>) {
  const schema = values.optional().describe(meaning);
  COMPILERS.set(schema, compile);
  return schema;
}

const COMMAND = "the name of a command without its directory, such as ffmpeg, or a pattern such as ffmpeg*";
export const commandPattern = text(COMMAND, compileCommand);

function compileCommand(name: string) {
  if (name === "") throw new ValueFault("is empty");
  if (name.includes("/")) throw new ValueFault("contains a directory: to match a whole path, use exe");
  return compileNamePattern(name);
}

const anyPattern = text("a name, or a pattern such as cust-*", compilePattern);
const argumentPattern = text('a pattern of the whole command line, such as "*rtmp://*"', compilePattern);
const labelPattern = value('a value or a pattern; "*" for any', (input) => compilePattern(String(input)));
const variablePattern = text('a value or a pattern; "*" for any', compilePattern);

const PATH = "an absolute path, such as /opt/ffmpeg/bin/*; ** matches any number of directories";
const pathPattern = text(PATH, compilePathPattern);

const DIRECTORY = "an absolute directory, such as /srv/live; includes everything below it";
const directoryPattern = text(DIRECTORY, compileDirectoryPattern);

const CGROUP = "the path of a cgroup as in /proc/PID/cgroup, such as /system.slice/nginx.service";
const cgroupPattern = text(CGROUP, compileDirectoryPattern);

const principal = value("a name, a pattern such as cust-*, or a number", numberOr(compilePattern));
const id = number("a whole number, such as 1001", "a user id", wholeId);

const PARENT = "the command of an ancestor, such as nginx, or the PID of the parent";
const parent = value(PARENT, numberOr(compileCommand));

function numberOr<T>(compile: (text: string) => T) {
  return (input: number | string) => (typeof input === "number" ? wholeId(input) : compile(input));
}

function wholeId(input: number): number {
  if (!Number.isSafeInteger(input) || input < 0) throw new ValueFault("is not an id");
  return input;
}

/** A process age. Empty, null and 0 mean none, because older policies are written so. */
const age = z.union([z.null(), value("a time such as 5s, 1m30s or 24h", toAge)]);

function toAge(input: string | number): conditions.Age | null {
  const ms = input === "" ? 0 : parseDuration(String(input).trim());
  return ms === 0 ? null : { ms, text: String(input) };
}

const users = anyNumber(principal, "a list of users");
const uids = anyNumber(id, "a list of user ids");
const directories = anyNumber(directoryPattern, "a list of directories");
const parents = anyNumber(parent, "a list of commands or PIDs");

const { directoryIs, not, parentAllowed, userIs } = conditions;
const userIsNot = not(userIs, ({ uid }) => uid !== undefined);

/** In the order in which they are checked. Age is last: it is the only one that waiting helps against. */
const filters = z.strictObject({
  allowed_users: key(users, "govern only processes of these users", userIs),
  blocked_users: key(users, "never govern processes of these users", userIsNot),
  allowed_uids: key(uids, "the same as allowed_users, by number", userIs),
  blocked_uids: key(uids, "the same as blocked_users, by number", userIsNot),
  allowed_dirs: key(
    directories,
    "govern only processes whose working directory is under one of these",
    directoryIs,
  ),
  blocked_dirs: key(
    directories,
    "never govern processes whose working directory is under one of these",
    not(directoryIs, ({ cwd }) => cwd !== undefined),
  ),
  allowed_parents: key(
    parents,
    "govern only processes started by one of these: " +
      "a number is the PID of the parent, a name the command of any ancestor",
    parentAllowed,
  ),
  blocked_parents: key(parents, "never govern processes started by one of these", not(parentAllowed)),
  max_runtime: key(
    age,
    "start to govern a process only while it is at most this old",
    conditions.youngerThan,
  ),
  min_runtime: key(age, "govern a process only when it is at least this old", conditions.olderThan),
});

const labelValues = oneOrMore(labelPattern).optional();
const schedulerLabels = z.strictObject({
  scheduler: labelValues.describe("slurm, htcondor, nomad, kubernetes, systemd or cron"),
  slurm_job: labelValues.describe("the job id of Slurm"),
  slurm_step: labelValues.describe("the step of Slurm: a number, batch, extern or interactive"),
  condor_slot: labelValues.describe("the slot of HTCondor, such as slot1_1@node"),
  nomad_alloc: labelValues.describe("the id of Nomad's allocation"),
  nomad_task: labelValues.describe("the name of Nomad's task"),
  k8s_pod: labelValues.describe("the uid of the Kubernetes pod"),
  k8s_container: labelValues.describe("the id of the pod's container"),
  systemd_unit: labelValues.describe("the service of systemd"),
  systemd_user_unit: labelValues.describe("the service of a user's systemd; the user chooses its name"),
} satisfies Record<SchedulerLabel, z.ZodType>);

/** In the order in which they are checked: the facts that cost least first. */
export const matchSection = z.strictObject(
  {
    command: key(
      oneOrMore(commandPattern),
      "the base name of the executable or of the first argument, or the kernel's name for the process",
      conditions.commandIs,
    ),
    argv: key(
      oneOrMore(argumentPattern),
      "the whole command line, its arguments joined by spaces (the first 32,768 bytes)",
      conditions.argumentsMatch,
    ),
    exe: key(oneOrMore(pathPattern), "the path of the executable", conditions.executableIs),
    user: key(oneOrMore(principal), "the effective user, from /etc/passwd", userIs),
    group: key(oneOrMore(principal), "the effective group, from /etc/group", conditions.groupIs),
    cwd: key(oneOrMore(directoryPattern), "the working directory or a directory above it", directoryIs),
    cgroup: key(
      oneOrMore(cgroupPattern),
      "one of its cgroups as in /proc/PID/cgroup, or a cgroup above one",
      conditions.cgroupIs,
    ),
    container: key(
      z.union([yesOrNo("true for any, false for none"), oneOrMore(anyPattern)]),
      "the container of the process: its id, or its name with LXC and systemd-nspawn",
      conditions.containerIs,
    ),
    labels: key(
      schedulerLabels,
      "what its scheduler calls it, from its cgroups: {scheduler: slurm, slurm_job: 17}",
      (key, labels) =>
        SCHEDULER_LABELS.flatMap((name) => {
          const values = labels[name];
          return values ? [conditions.labelMatches(name)(`${key}.${name}`, values)] : [];
        }),
    ),
    parent: key(oneOrMore(commandPattern), "the command of any ancestor process", conditions.startedBy),
    env: key(
      z.record(z.string(), oneOrMore(variablePattern)),
      "environment variables, where they can be read: {TIER: gold}",
      (key, variables) =>
        Object.entries(variables).map(([name, values]) =>
          conditions.variableMatches(name)(`${key}.${name}`, values),
        ),
    ),
  },
  { error: "conditions such as {user: acme}, or {} for all target commands" },
);

export const filtersSection = filters.nullish();

type Words = Record<string, unknown>;

/** Compiles the global filters, each replaced by the filter of the same name in `own`. */
export function compileFilters(global: Words, own: Words, ownKey: string): Condition[] {
  return Object.entries(filters.shape).flatMap(([name, schema]) => {
    const [section, key] = own[name] === undefined ? [global, "filters"] : [own, ownKey];
    const values = section[name] ?? [];
    if (Array.isArray(values) && values.length === 0) return [];
    return compile(schema, `${key}.${name}`, values);
  });
}

/** Compiles a rule's match. Rules with the same values share a condition through `known`. */
export function compileMatch(words: Words, known: Map<string, Compiled>): Condition[] {
  return Object.entries(matchSection.shape).flatMap(([name, schema]) => {
    if (words[name] === undefined) return [];
    const text = JSON.stringify([name, words[name]]);
    const compiled = known.get(text) ?? compile(schema, `match.${name}`, words[name]);
    known.set(text, compiled);
    return compiled;
  });
}

function compile(schema: z.ZodType, key: string, values: unknown): Compiled {
  return (COMPILERS.get(schema) as Compile<unknown>)(key, values);
}
