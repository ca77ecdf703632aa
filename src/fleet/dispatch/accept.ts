import { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { ValueFault } from "../../limits/units.ts";
import { findUser } from "../../linux/proc/userAccount.ts";
import { text } from "../../policy/file/leaves.ts";
import { describeErrno } from "../../sys/errno.ts";
import { isSigningPublicKey } from "../keys/signingKey.ts";
import { isNodeName, NODE_NAME } from "../nodeConfig.ts";
import { acceptFile } from "../nodeFiles.ts";
import { MAX_SLOTS } from "./slots.ts";
import { readTrustedYaml } from "./yamlFile.ts";

/** Root's permission for jobs of the fleet, which `ffrtmp fleet accept` writes. Without it, dispatch is off. */
export const ACCEPT_FILE = acceptFile();

const POOL = `the name of a pool: ${NODE_NAME.replace("expected ", "")}`;
const USER = "the name of a user, other than root";
const KEY = "the public key that signs jobs: O and 55 letters and digits";
const SLOTS = `a whole number from 1 to ${MAX_SLOTS}: how many jobs run at once`;

const pool = text(POOL, (input) => {
  if (!isNodeName(input)) throw new ValueFault("is not the name of a pool");
  return input;
});

const user = text(USER, (input) => {
  // useradd(8): lower case letters, digits, _ and -. Directory services know dots, and capital letters.
  if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$/.test(input)) throw new ValueFault("is not the name of a user");
  if (input === "root") throw new ValueFault("may do anything on this machine");
  return input;
});

const key = text(KEY, (input) => {
  if (!isSigningPublicKey(input)) throw new ValueFault("is not a key that signs");
  return input;
});

// v: 1
// pools: [live]
// slots: 4
// as: transcode
// trusted: [OCX…]
// signed_templates: false
export const acceptSchema = z.strictObject({
  v: z.literal(1, { error: "1" }),
  /** The pools whose jobs this machine takes. */
  pools: z.array(pool, { error: "a list of pools" }).min(1, { error: "at least one pool" }),
  slots: z.number({ error: SLOTS }).int(SLOTS).min(1, { error: SLOTS }).max(MAX_SLOTS, { error: SLOTS }),
  /** The user that the jobs run as. */
  as: user,
  /** The public keys (O…) of those who may sign jobs. */
  trusted: z.array(key, { error: "a list of keys" }).min(1, { error: "at least one key" }),
  /** Templates may also come from the hub, if one of these keys has signed them. */
  signed_templates: z.boolean({ error: "true or false" }).default(false),
});

export type AcceptFile = z.input<typeof acceptSchema>;

/** Root's permission: the jobs that this machine takes from its fleet. */
export interface Acceptance {
  readonly pools: readonly string[];
  readonly slots: number;
  readonly as: string;
  readonly trusted: ReadonlySet<string>;
  readonly signedTemplates: boolean;
}

const HINT = "write it again with ffrtmp fleet accept";

/**
 * Reads what this machine takes from its fleet. `undefined`: the file does not exist, so dispatch is off. Throws a Refusal where
 * it cannot be used, where a user other than root can change it, or where its user is missing or root; then dispatch is off, too.
 */
export function readAcceptance(path = ACCEPT_FILE, find = findUser): Acceptance | undefined {
  const file = readTrustedYaml(path, acceptSchema, HINT);
  if (file === undefined) return undefined;
  const { pools, slots, as, trusted, signed_templates: signedTemplates } = file;
  // Each time, and not when the file is written alone: without its user, this node would refuse one attempt after the other.
  requireJobUser(as, find);
  return { pools, slots, as, trusted: new Set(trusted), signedTemplates };
}

/** Throws a Refusal for a user as which no job of the fleet can run. The name says little: root can have others. */
export function requireJobUser(as: string, find = findUser): void {
  let user: ReturnType<typeof findUser>;
  try {
    user = find(as);
  } catch (error) {
    throw new Refusal(`cannot find user ${as}: /etc/passwd, /etc/group: ${describeErrno(error)}`);
  }
  if (user === undefined)
    throw new Refusal(
      `there is no user ${as} in /etc/passwd`,
      `useradd --system --create-home ${as}; or name another user`,
    );
  if (user.uid === 0)
    throw new Refusal(
      `no job of the fleet runs as ${as}, which has uid 0 and all rights`,
      "name another user: --as USER",
    );
}
