import { basename } from "node:path";
import { parseTemplate } from "../../../fleet/dispatch/template.ts";
import { signDocument } from "../../../fleet/messages/signed.ts";
import { templateSubject } from "../../../fleet/messages/subjects.ts";
import type { TemplateBody } from "../../../fleet/messages/template.ts";
import { isNodeName, NODE_NAME } from "../../../fleet/token.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { readPolicyFile } from "../../../policy/file/read.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printOut } from "../../output/messages.ts";
import type { FleetFlags } from "./init.ts";
import { operatorName } from "./operator.ts";
import { withHub } from "./session.ts";
import { showFaults } from "./templateCheck.ts";

interface PushFlags extends FleetFlags {
  name?: string;
  key?: string;
}

const REQUEST_MS = 10_000;

/** Signs a template and stores it at the hub, for the nodes whose root accepts signed templates. */
export async function pushTemplate(path: string, flags: PushFlags): Promise<number> {
  const name = flags.name ?? basename(path).replace(/\.yaml$/, "");
  if (!isNodeName(name))
    throw new Refusal(`${JSON.stringify(name)} cannot be the name of a template: ${NODE_NAME}`);
  const read = readPolicyFile(path);
  if ("unreadable" in read) return showFaults(path, read.unreadable);
  const parsed = parseTemplate(read.text);
  if ("faults" in parsed) return showFaults(path, "cannot be used", parsed.faults);
  const at = new Date();
  const body: TemplateBody = {
    v: 1,
    name,
    // Rises as long as the clock of the operator does, on whichever machine that is.
    serial: at.getTime(),
    yaml: read.text,
    by: operatorName(),
    at: at.toISOString(),
  };
  await withHub(flags, async (connection, directory) => {
    const document = signDocument("template", body, directory.signingKey("jobs", flags.key));
    const options = { timeout: REQUEST_MS };
    const answer = await connection.request(templateSubject(name), JSON.stringify(document), options);
    const { error } = answer.json<{ error?: { description?: string } }>();
    if (error !== undefined) throw new Error(`the hub does not store the template: ${error.description}`);
  });
  printOut(
    oneLine(`${name} is at the hub; nodes with signed_templates in accept.yaml use it for their next jobs`),
  );
  return 0;
}
