import { realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { ValueFault } from "../../limits/units.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { type FileStatus, type statusOf, statusOfLink } from "../../sys/files.ts";

/** The paths that a template allows for a parameter. */
export interface PathRule {
  /** The directory below which the file is. */
  readonly under: string;
  /** The ends of its name, such as `.mp4`; empty: any. */
  readonly suffix: readonly string[];
  /** The file is there (true) or is not (false); `undefined`: either. */
  readonly exists: boolean | undefined;
  /** Inserted into its name before the suffix. */
  readonly insert: string;
}

const MAX_LENGTH = 4096;
const MAX_NAME_BYTES = 255;

/**
 * Returns the path with all links resolved, below the directory of the rule. Throws ValueFault. A link that another process makes
 * later is followed by the program: the rule is for the one who submits a job, and not for the processes of its user.
 */
export function checkPath(text: string, rule: PathRule): string {
  checkForm(text);
  const name = insertInto(basename(text), rule);
  const under = resolveUnder(rule.under);
  const parent = resolveParent(dirname(text), [rule.under, under]);
  if (!isBelow(parent, under)) throw new ValueFault(`is not below ${rule.under}`);
  const path = join(parent, name);
  checkFile(path, rule);
  return path;
}

/** A text that each program reads as the same path, and not as a protocol, an option or a pattern of names. */
function checkForm(text: string): void {
  if (!text.startsWith("/")) throw new ValueFault("is not an absolute path");
  if (text.length > MAX_LENGTH) throw new ValueFault(`has more than ${MAX_LENGTH} characters`);
  if (!text.isWellFormed() || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text))
    throw new ValueFault("contains a control character");
  // ffmpeg makes many files of one name with %, and several outputs of one with |: image2, segment, tee in ffmpeg-formats(1).
  if (/[%|\\]/.test(text)) throw new ValueFault("contains one of % | \\, which have a meaning for programs");
  const parts = text.slice(1).split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".."))
    throw new ValueFault("is not in its shortest form: it contains //, . or .., or ends with /");
}

function insertInto(name: string, { suffix, insert }: PathRule): string {
  const end =
    suffix.length === 0 ? /(?:\.[^.]*)?$/.exec(name)?.[0] : suffix.find((each) => name.endsWith(each));
  if (end === undefined) throw new ValueFault(`does not end with ${suffix.join(" or ")}`);
  const stem = name.slice(0, name.length - end.length);
  if (stem === "" || stem === "." || stem === "..") throw new ValueFault("has no name before its suffix");
  const whole = `${stem}${insert}${end}`;
  if (Buffer.byteLength(whole) > MAX_NAME_BYTES) throw new ValueFault("has too long a name");
  return whole;
}

/**
 * The one who submits the job reads the fault, and the runner looks with the rights of root. So a directory outside is not said to
 * be missing, or to be anything else than outside.
 */
function resolveParent(directory: string, allowed: [string, string]): string {
  try {
    return realpathSync(directory);
  } catch (error) {
    if (!allowed.some((each) => isBelow(directory, each))) throw new ValueFault(`is not below ${allowed[0]}`);
    throw new ValueFault(`is in a directory that cannot be used: ${describeErrno(error)}`);
  }
}

function isBelow(directory: string, above: string): boolean {
  return directory === above || directory.startsWith(above === "/" ? "/" : `${above}/`);
}

/** A directory that a template names and that is missing fails the job, whatever its path is. */
function resolveUnder(directory: string): string {
  try {
    return realpathSync(directory);
  } catch (error) {
    throw new ValueFault(`cannot be checked: ${directory}: ${describeErrno(error)}`);
  }
}

function checkFile(path: string, { exists }: PathRule): void {
  const status = statusOr(path, statusOfLink);
  // The program would follow it to a file elsewhere.
  if (status?.type === "link") throw new ValueFault("is a symbolic link");
  if (status !== undefined && status.type !== "file") throw new ValueFault("is not a regular file");
  if (exists === true && status === undefined) throw new ValueFault("does not exist");
  if (exists === false && status !== undefined) throw new ValueFault("exists already");
}

function statusOr(path: string, read: typeof statusOf): FileStatus | undefined {
  try {
    return read(path);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    throw new ValueFault(`cannot be checked: ${describeErrno(error)}`);
  }
}
