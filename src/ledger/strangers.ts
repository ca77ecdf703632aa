import { type FileStatus, readLinkText, readTextFile, statusOfLink } from "../sys/files.ts";
import { namesIn } from "../sys/paths.ts";

/** Another user can change the files, so that root must not use them. */
export class UntrustedState extends Error {}

/**
 * Throws UntrustedState where root would use a file in a state directory that another user can change: a part of its path
 * belongs to another user or can be written by others. A sticky directory, such as /tmp, may be above the state directory,
 * because only their owner replaces the files in it. Other users get only what they may access themselves. Parts that are
 * missing are no fault.
 */
export function rejectStrangers(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const reason = findStranger(path);
  if (reason === undefined) return;
  throw new UntrustedState(`${reason}, and root uses no files that another user can change`);
}

/** As path_resolution(7) does: each link and each directory on the way counts. */
function findStranger(path: string): string | undefined {
  const rest = namesIn(path);
  let current = "";
  for (let links = 0; ; ) {
    const stat = statusOfLink(current || "/");
    if (stat === undefined) return undefined;
    if (stat.uid !== 0 && !(rest.length > 1 && isUnmapped(stat.uid)))
      return `${current || "/"} belongs to uid ${stat.uid}`;
    if (stat.type === "link") {
      if (++links > 40) return undefined;
      const target = readLinkText(current);
      current = target.startsWith("/") ? "" : above(current);
      rest.unshift(...namesIn(target));
    } else if (
      isWritableForOthers(stat) &&
      !(stat.type === "directory" && stat.mode & 0o1000 && rest.length > 1)
    ) {
      return `${current || "/"} can be changed by other users (mode ${stat.mode.toString(8)})`;
    }
    const next = rest.shift();
    // Below a file there is nothing.
    if (next === undefined || stat.type === "file") return undefined;
    current = next === ".." ? above(current) : next === "." ? current : `${current}/${next}`;
  }
}

/** The group of root is root. */
function isWritableForOthers({ mode, gid }: FileStatus): boolean {
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && gid !== 0);
}

/** In a user namespace, files of the root outside of it have the overflow uid: user_namespaces(7). */
function isUnmapped(uid: number): boolean {
  return uid === 65534 && !/^\s*0\s+0\s+4294967295\s*$/.test(readTextFile("/proc/self/uid_map"));
}

/** Returns the directory of a path without links; "" for the root. */
function above(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf("/"), 0));
}
