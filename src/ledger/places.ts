import { accessSync, constants, existsSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { USERS_FILE } from "../linux/proc/idNames.ts";
import { describeErrno, errnoOf } from "../sys/errno.ts";
import { isMissing } from "./database.ts";
import { locateState, ROOT_STATE, userState } from "./location.ts";
import { rejectStrangers, UntrustedState } from "./strangers.ts";

/** A user of the machine, with the state directory that is the user's unless another one is named. */
export interface StateOwner {
  name: string;
  uid: number;
  directory: string;
}

/**
 * A place where state can be. `absent`: there is nothing. `hidden`: this user may not see it. `empty`: a directory without a
 * ledger. `unreadable`: this user may not read the ledger, or must not, because another user can change it.
 */
export interface Place {
  kind: "absent" | "hidden" | "empty" | "unreadable" | "readable";
  /** The owner of the directory; of a hidden one, of the directory that hides it. */
  uid: number | undefined;
}

/** Looks at a state directory without opening or creating anything. */
export function describePlace(directory: string): Place {
  let uid: number | undefined;
  try {
    uid = statSync(directory).uid;
  } catch (error) {
    if (errnoOf(error) !== "EACCES") return { kind: "absent", uid: undefined };
    return { kind: "hidden", uid: ownerAbove(directory) };
  }
  const { ledger } = locateState(directory, {});
  try {
    accessSync(directory, constants.R_OK | constants.X_OK);
    if (isMissing(ledger)) return { kind: "empty", uid };
    accessSync(ledger, constants.R_OK);
    rejectStrangers(ledger);
    return { kind: "readable", uid };
  } catch (error) {
    if (errnoOf(error) === undefined && !(error instanceof UntrustedState)) throw error;
    return { kind: "unreadable", uid };
  }
}

/** Returns the owner of the nearest directory above that can be seen. */
function ownerAbove(path: string): number | undefined {
  for (let above = dirname(path); ; above = dirname(above)) {
    try {
      return statSync(above).uid;
    } catch {
      if (above === "/") return undefined;
    }
  }
}

/** Returns a path, or the nearest one above it that exists. */
export function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

/** Returns why this user cannot create a ledger, or `undefined`. Tries nothing. */
export function whyNoLedger(ledger: string): string | undefined {
  try {
    rejectStrangers(ledger);
    accessSync(nearestExisting(dirname(ledger)), constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return describeErrno(error);
  }
}

const ROOT: StateOwner = { name: "root", uid: 0, directory: ROOT_STATE };

/** Returns the users of the machine: root, and those of passwd(5). A directory service is not asked. */
export function listOwners(): StateOwner[] {
  try {
    // www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
    const lines = readFileSync(USERS_FILE, "utf8").matchAll(
      /^([^:\n]+):[^:\n]*:(\d+):\d*:[^:\n]*:(\/[^:\n]*)/gm,
    );
    const users = [...lines].map(([, name = "", id, home = ""]) => ({
      name,
      uid: Number(id),
      directory: userState(home),
    }));
    return [ROOT, ...users.filter(({ uid }) => uid !== 0)];
  } catch {
    return [ROOT];
  }
}

/**
 * Returns the users whose state an operator may have meant in place of `directory`: root, and where they have state, the
 * user of this process and the user who became root by sudo(8).
 */
export function listLikelyOwners(directory: string, environment: NodeJS.ProcessEnv): StateOwner[] {
  const uid = process.geteuid?.() ?? 0;
  const { FFRTMP_STATE: _, ...rest } = environment;
  const own = { name: "you", uid, directory: locateState(undefined, rest).directory };
  const sudo = listOwners().find((owner) => uid === 0 && owner.uid === Number(environment["SUDO_UID"]));
  const others = [own, ...(sudo ? [sudo] : [])].filter(
    (owner) => owner.directory !== ROOT_STATE && describePlace(owner.directory).kind !== "absent",
  );
  return [ROOT, ...others].filter((owner) => owner.directory !== directory);
}
