import { readFileSync } from "node:fs";
import type { UserIds } from "../../sys/credentials.ts";
import { GROUPS_FILE, USERS_FILE } from "./idNames.ts";

/** A user of this machine, as passwd(5) and group(5) describe it. */
export interface UserAccount extends UserIds {
  readonly name: string;
  readonly home: string;
  readonly shell: string;
}

/** The files with the users and groups of a machine. */
export interface AccountFiles {
  readonly users: string;
  readonly groups: string;
}

const FILES: AccountFiles = { users: USERS_FILE, groups: GROUPS_FILE };

/**
 * Finds a user by name or number, with its supplementary groups: initgroups(3). `undefined` where /etc/passwd has none. A
 * directory service is not asked. Throws errors of the file system.
 */
export function findUser(nameOrUid: string, { users, groups } = FILES): UserAccount | undefined {
  const entries = linesOf(users).map(([name = "", , uid, gid, , home = "", shell = ""]) => ({
    ...{ name, home, shell },
    ids: [uid, gid].map(parseId),
  }));
  const found =
    entries.find(({ name }) => name === nameOrUid) ??
    entries.find(({ ids: [uid] }) => uid !== undefined && String(uid) === nameOrUid);
  const [uid, gid] = found?.ids ?? [];
  if (found === undefined || found.name === "" || uid === undefined || gid === undefined) return undefined;
  const { name, home, shell } = found;
  const supplementary = linesOf(groups).flatMap(([, , id, members = ""]) =>
    members.split(",").includes(name) ? [parseId(id)] : [],
  );
  const ids = new Set([gid, ...supplementary.filter((id) => id !== undefined)]);
  return { name, uid, gid, groups: [...ids], home: home || "/", shell: shell || "/bin/sh" };
}

/** Returns the number of a group; `undefined` where /etc/group has none of this name. Throws errors of the file system. */
export function findGroup(name: string, { groups } = FILES): number | undefined {
  return parseId(linesOf(groups).find(([each]) => each === name)?.[2]);
}

/** Returns the variables that login(1) sets. */
export function variablesOf({ name, home, shell }: UserAccount): Record<string, string> {
  return { HOME: home, USER: name, LOGNAME: name, SHELL: shell };
}

// www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
// video:x:44:transcode,anna
function linesOf(path: string): string[][] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split(":"));
}

function parseId(text: string | undefined): number | undefined {
  const id = Number(text);
  // 2^32 − 1 means "unchanged" to the kernel.
  return /^\d+$/.test(text ?? "") && id < 2 ** 32 - 1 ? id : undefined;
}
