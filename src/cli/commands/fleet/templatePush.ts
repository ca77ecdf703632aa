import { basename } from "node:path";
import { parseTemplate } from "../../../fleet/dispatch/template.ts";
import { isPlausible, publishTemplate } from "../../../fleet/hub/publishTemplate.ts";
import { readPolicyFile } from "../../../policy/file/read.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut, warn } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName } from "./operator.ts";
import { withHub } from "./session.ts";
import { showFaults } from "./templateCheck.ts";
import { checkTemplateName } from "./templateShow.ts";

interface PushFlags extends FleetFlags {
  name?: string;
  key?: string;
  replace?: number;
}

/** Signs a template and stores it at the hub, for the nodes whose root accepts signed templates. */
export async function pushTemplate(path: string, flags: PushFlags): Promise<number> {
  const name = flags.name ?? basename(path).replace(/\.yaml$/, "");
  checkTemplateName(name);
  const read = readPolicyFile(path);
  if ("unreadable" in read) return showFaults(path, read.unreadable);
  const parsed = parseTemplate(read.text);
  if ("faults" in parsed) return showFaults(path, "cannot be used", parsed.faults);
  const content = { name, yaml: read.text, by: operatorName() };
  const replaced = await withHub(flags, (connection, directory) =>
    publishTemplate(connection, directory.signingKey("jobs", flags.key), content, flags.replace),
  );
  printOut(
    oneLine(`${name} is at the hub; nodes with signed_templates in accept.yaml use it for their next jobs`),
  );
  if (replaced === undefined) return 0;
  printErr(oneLine(`  it replaces that of ${replaced.at}, by ${replaced.by}`));
  if (!isPlausible(replaced, Date.now()))
    warn(`that one has the serial ${replaced.serial}, which no clock gives: it was not counted from there`);
  return 0;
}
