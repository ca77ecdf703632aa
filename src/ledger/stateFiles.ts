import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { kindOf, NotRegular } from "../sys/regularFile.ts";
import { INBOX } from "./location.ts";
import { rejectStrangers } from "./strangers.ts";

// The directory of a ledger: who may use it, and who can.

/** Others may neither write to a directory nor see it; its group may read. */
const NOT_IN_DIRECTORIES = 0o027;
/** The same for files, which are not executed. */
const NOT_IN_FILES = 0o137;
const FILE_MODE = 0o640;

/** The group whose members may read the state of root. */
const GROUP = "ffrtmp";

/** The names of ffrtmp in a state directory. `uninstall`: between the removal and the purge of the package. */
const OWN_NAMES =
  /^(ledger\.db.*|ffrtmp\.log(\.\d+)?|(watch|gates)\.lock|watch\.sock|logs|inbox|launches|progress|uninstall)$/;

/** The directories among them. They have no names of others. */
const DIRECTORIES = ["logs", INBOX, "launches", "progress"];

/** The file has lost what it contained. */
export class LostContent extends Error {}

/**
 * Checks the ledger file and its directory before SQLite opens them, and creates what is missing. Returns true where other
 * users can read what an earlier ffrtmp left open: see `closeToOthers`. Throws UntrustedState, NotRegular, LostContent and
 * errors of the file system.
 */
export function prepareLedger(path: string, newContent: () => Uint8Array): boolean {
  const directory = dirname(path);
  rejectStrangers(path);
  let folder = statSync(directory, { throwIfNoEntry: false });
  if (folder === undefined) {
    createStateDirectory(directory);
    // Another user may have been faster.
    rejectStrangers(path);
    folder = statSync(directory);
  }
  const file = statSync(path, { throwIfNoEntry: false });
  if (file !== undefined && !file.isFile()) throw new NotRegular(kindOf(file));
  const loss = file?.size ? undefined : findLoss(path, file);
  if (loss !== undefined) throw new LostContent(loss);
  const mine = process.geteuid?.();
  const isFolderOpen = folder.uid === mine && (folder.mode & NOT_IN_DIRECTORIES) !== 0;
  const isOpen = isFolderOpen && hasOnlyOwnFiles(directory);
  // The owner of a link decides about the file elsewhere that it leads to.
  const isFileOpen =
    file !== undefined &&
    file.uid === mine &&
    (file.mode & NOT_IN_FILES) !== 0 &&
    !lstatSync(path).isSymbolicLink();
  if (file?.size) return isOpen || isFileOpen;
  if (isOpen || isFileOpen) closeToOthers(directory);
  if (file === undefined) createLedger(path, newContent());
  return false;
}

export function createStateDirectory(directory: string): void {
  const isRoot = process.geteuid?.() === 0;
  // The primary group of an ordinary user may be that of all users.
  if (mkdirSync(directory, { recursive: true, mode: isRoot ? 0o750 : 0o700 }) === undefined || !isRoot)
    return;
  const gid = findGroup();
  if (gid === undefined) return;
  giveToGroup(directory, gid);
  // With the set-group-ID bit, the files in it get its group: inode(7).
  chmodSync(directory, 0o2750);
}

/**
 * Creates the directory of the records of plain launches in a state directory of this user. The launches do not create it:
 * without it, each uses the ledger.
 */
export function createInbox(directory: string): void {
  const path = join(directory, INBOX);
  if (existsSync(path)) return;
  try {
    if (statSync(directory).uid !== process.geteuid?.()) return;
    // Its group and set-group-ID bit are those of the state directory: inode(7).
    mkdirSync(path, { mode: 0o777 & ~NOT_IN_DIRECTORIES });
  } catch {
    // The file system is full or read-only, or another process was faster.
  }
}

function giveToGroup(path: string, gid: number): void {
  try {
    chownSync(path, 0, gid);
  } catch {
    // Without CAP_CHOWN it stays closed to that group.
  }
}

/** Returns why a ledger without content is a damaged one and not a new one. */
function findLoss(path: string, file: Stats | undefined): string | undefined {
  const hasLog = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
  if (file === undefined) return hasLog ? "it is missing, and the log of its changes is not" : undefined;
  if (hasLog) return "it is empty, and the log of its changes is not";
  // The output of a job is created after the ledger knows the job.
  return isEmpty(join(dirname(path), "logs"))
    ? undefined
    : "it is empty, and there is output of earlier jobs";
}

function isEmpty(directory: string): boolean {
  try {
    return readdirSync(directory).length === 0;
  } catch {
    return true;
  }
}

/** Creates the file with its whole content, so that no process finds an empty one. Another process may be faster. */
function createLedger(path: string, content: Uint8Array): void {
  const draft = `${path}.new-${process.pid}`;
  rmSync(draft, { force: true });
  const fd = openSync(draft, "wx", FILE_MODE);
  try {
    writeSync(fd, content);
    // Without it, a power failure can leave the name without the content.
    fsyncSync(fd);
    linkSync(draft, path);
  } catch (error) {
    const errno = errnoOf(error) ?? "";
    // Some file systems have no hard links.
    if (["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(errno)) renameSync(draft, path);
    else if (errno !== "EEXIST") throw error;
  } finally {
    closeSync(fd);
    rmSync(draft, { force: true });
  }
}

function hasOnlyOwnFiles(directory: string): boolean {
  return readdirSync(directory).every((name) => OWN_NAMES.test(name));
}

/** Removes the rights of other users to the files of ffrtmp in a directory, and to the directory if it has no others. */
export function closeToOthers(named: string, report: (text: string) => void = () => {}): void {
  const directory = realpathSync(named);
  const names = readdirSync(directory).filter((name) => OWN_NAMES.test(name));
  const inner = names
    .filter((name) => DIRECTORIES.includes(name) && lstatSync(join(directory, name)).isDirectory())
    .flatMap((name) => readdirSync(join(directory, name)).map((each) => `${name}/${each}`));
  const isWhole = hasOnlyOwnFiles(directory);
  const uid = process.geteuid?.();
  const gid = uid === 0 ? findGroup() : undefined;
  const surplusOf = (path: string, stat: Stats): number => {
    if (path === directory && uid !== 0) return 0o077;
    if (stat.isDirectory()) return NOT_IN_DIRECTORIES;
    return path.endsWith(".lock") ? 0o177 : NOT_IN_FILES;
  };
  try {
    for (const path of [
      ...(isWhole ? [directory] : []),
      ...[...names, ...inner].map((name) => join(directory, name)),
    ]) {
      const stat = lstatSync(path, { throwIfNoEntry: false });
      if (!stat || stat.uid !== uid || !(stat.isFile() || stat.isDirectory())) continue;
      if (gid !== undefined && stat.gid !== gid) giveToGroup(path, gid);
      const mode = stat.mode & 0o7777;
      const closed = mode & ~surplusOf(path, stat);
      if (mode === closed) continue;
      chmodSync(path, closed);
      if ((lstatSync(path).mode & 0o7777) === mode) throw new Error("its file system keeps no modes");
    }
    report(`other users could read ${directory}: it is closed to them now (directory 750, files 640)`);
  } catch (error) {
    report(`other users can read ${directory}, and it cannot be closed to them: ${describeErrno(error)}`);
  }
}

// ffrtmp:x:998:ann,bob
function findGroup(): number | undefined {
  try {
    const line = readFileSync("/etc/group", "utf8").match(new RegExp(`^${GROUP}:[^:]*:(\\d+):`, "m"));
    return line ? Number(line[1]) : undefined;
  } catch {
    return undefined;
  }
}
