import { IdNames, USERS_FILE } from "../linux/proc/idNames.ts";

const users = new IdNames(USERS_FILE);

/** Returns the name of a user, or the number of one without a name in /etc/passwd. `null`: the user is unknown. */
export function userNameOf(uid: number | null): string | null {
  return uid === null ? null : (users.nameOf(uid, Date.now()) ?? String(uid));
}

/** Returns the uid of a name in /etc/passwd; `undefined` when there is none. */
export function uidOf(name: string): number | undefined {
  return users.idOf(name, Date.now());
}
