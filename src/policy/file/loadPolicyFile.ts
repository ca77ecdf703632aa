import { type LoadedPolicy, loadPolicy } from "./loadPolicy.ts";
import { readPolicyFile } from "./read.ts";

/** `unreadable` continues a sentence that begins with the path. */
export type LoadedFile = LoadedPolicy | { unreadable: string };

/** Reads and compiles a policy file. Import this only when there is a file: it loads the YAML parser. */
export function loadPolicyFile(path: string): LoadedFile {
  const read = readPolicyFile(path);
  return "unreadable" in read ? read : loadPolicy(read.text, path);
}
