import { readStoredTemplate } from "../../../fleet/hub/publishTemplate.ts";
import { isNodeName, NODE_NAME } from "../../../fleet/token.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { withHub } from "./session.ts";

/** Prints the template of a name that the hub has. */
export async function showTemplate(name: string, flags: FleetFlags): Promise<number> {
  checkTemplateName(name);
  const { template } = await withHub(flags, (connection) => readStoredTemplate(connection, name));
  if (template === undefined)
    throw new Refusal(`the hub has no template ${name}`, "ffrtmp fleet template push FILE");
  const { yaml, serial, by, at } = template.body;
  printOut(yaml.replace(/\n$/, ""));
  printErr(oneLine(`ffrtmp: serial ${serial}, by ${by}, ${at}, signed by ${template.key}`));
  return 0;
}

export function checkTemplateName(name: string): void {
  if (!isNodeName(name))
    throw new Refusal(`${JSON.stringify(name)} cannot be the name of a template: ${NODE_NAME}`);
}
