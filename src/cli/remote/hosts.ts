import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parse, YAMLParseError } from "yaml";
import { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { describeErrno } from "../../sys/errno.ts";
import { hasInvisible } from "../../sys/visibleText.ts";

/** Groups of machines by name, as hosts.yaml has them. */
const groups = z.record(z.string(), z.array(z.string()));

/**
 * Returns the machines that `--on` names, each once: `edge-1,root@10.0.0.7,@packagers`. `@` names a group of hosts.yaml.
 * Throws a Refusal for a word that is neither.
 */
export function parseHosts(text: string, file = defaultHostsFile()): string[] {
  const words = text
    .split(",")
    .map((word) => word.trim())
    .filter((word) => word !== "");
  const hosts = words.flatMap((word) => (word.startsWith("@") ? readGroup(file, word.slice(1)) : [word]));
  if (hosts.length === 0) throw new Refusal("--on names no machine", "--on edge-1,edge-2, or --on @group");
  for (const host of hosts) checkHost(host);
  return [...new Set(hosts)];
}

/** ~/.config/ffrtmp/hosts.yaml, or that of XDG_CONFIG_HOME. */
function defaultHostsFile(): string {
  return join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "ffrtmp", "hosts.yaml");
}

// edge: [edge-1, edge-2]
// packagers: [root@10.0.0.7]
function readGroup(file: string, name: string): string[] {
  const found = readGroups(file)[name];
  if (found !== undefined) return found;
  throw new Refusal(`${file} has no group ${name}`, `add a line such as: ${name}: [edge-1, edge-2]`);
}

function readGroups(file: string): z.infer<typeof groups> {
  const wanted = "each line is a group, such as: edge: [edge-1, edge-2]";
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Refusal(
      `cannot read the groups of machines in ${file}: ${describeErrno(error)}`,
      "write it, with lines such as: edge: [edge-1, edge-2]",
    );
  }
  try {
    return groups.parse(parse(text) ?? {});
  } catch (error) {
    if (error instanceof YAMLParseError) {
      const [place] = error.linePos ?? [];
      const line = place === undefined ? "" : `, line ${place.line}`;
      throw new Refusal(`${file}${line} is not YAML: ${error.message.split("\n")[0]}`, wanted);
    }
    if (!(error instanceof z.ZodError)) throw error;
    const path = error.issues[0]?.path.join(".") ?? "";
    throw new Refusal(`${file}${path === "" ? "" : `, ${path}`}: expected a list of machines`, wanted);
  }
}

/** A word that begins with - would be an option of ssh. */
function checkHost(host: string): void {
  if (/^[^\s,'"@-][^\s,'"]*$/.test(host) && !hasInvisible(host)) return;
  throw new Refusal(
    `${JSON.stringify(host)} is not the name of a machine`,
    "--on edge-1, or --on user@edge-1",
  );
}
