import type { Policy } from "../policy.ts";
import type { PolicyFault } from "./fault.ts";
import { loadPolicy } from "./loadPolicy.ts";
import { readPolicyFile } from "./read.ts";

export type LoadedFile =
  | { policy: Policy; warnings: PolicyFault[] }
  | { faults: PolicyFault[] }
  /** The end of a sentence that begins with the path. */
  | { unreadable: string };

/** Loads the parsers of YAML and of its schema with it: to be imported only when there is a file. */
export function loadPolicyFile(path: string): LoadedFile {
  const read = readPolicyFile(path);
  return "unreadable" in read ? read : loadPolicy(read.text, path);
}
