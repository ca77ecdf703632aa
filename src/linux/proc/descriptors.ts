import { readdirSync } from "node:fs";
import { type Host, unlessGone } from "../host.ts";
import { readLink } from "./table.ts";

/** A process can have a million descriptors, and reading the text of each takes 2 µs. */
const MAX_DESCRIPTORS = 4096;

/** An open file of a process. */
export interface Descriptor {
  readonly fd: number;
  /** The text of its link: a path, `socket:[1234]`, `pipe:[1234]`, `anon_inode:[eventpoll]`, … */
  readonly target: string;
}

/**
 * Lists the descriptors of a process, at most 4096. Reads the text of links only, which opens nothing and waits for no file
 * system. `"gone"` when its process does not exist. Throws EACCES, EPERM. Source: proc_pid_fd(5).
 */
export function listDescriptors(host: Host, pid: number): Descriptor[] | "gone" {
  const names = unlessGone(() => readdirSync(`${host.procRoot}/${pid}/fd`));
  if (names === "gone") return "gone";
  return names.slice(0, MAX_DESCRIPTORS).flatMap((name) => {
    const target = readLink(host, `${pid}/fd/${name}`);
    return target === undefined ? [] : [{ fd: Number(name), target }];
  });
}
