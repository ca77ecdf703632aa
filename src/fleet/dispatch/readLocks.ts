import { Refusal } from "../../jobs/errors.ts";
import { readAcceptance } from "./accept.ts";
import { type Locks, stampOfLocks } from "./locks.ts";
import { readTemplate } from "./template.ts";
import { templateDirectory, templateNames } from "./templateFiles.ts";

/** Reads what root allows on this machine. `accept`: its permission, which has the templates beside it. */
export function readLocks(accept: string): Locks {
  // First: what changes meanwhile is read again.
  const stamp = stampOfLocks(accept);
  const directory = templateDirectory(accept);
  const templates = Object.fromEntries(
    templateNames(directory).map((name) => [name, faultOf(() => readTemplate(name, directory)).fault]),
  );
  const { value, fault } = faultOf(() => readAcceptance(accept));
  const acceptance = value === undefined ? null : { ...value, trusted: [...value.trusted] };
  return { stamp, acceptance, fault, templates };
}

function faultOf<T>(read: () => T): { value?: T; fault: string | null } {
  try {
    return { value: read(), fault: null };
  } catch (error) {
    if (error instanceof Refusal) return { fault: error.message };
    throw error;
  }
}
