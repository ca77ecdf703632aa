import { readFileSync } from "node:fs";
import { z } from "zod";
import { Refusal } from "../../jobs/errors.ts";
import { describeErrno, errnoOf } from "../../sys/errno.ts";
import { MAX_MESSAGE_BYTES } from "../messages/limits.ts";
import { parseJson } from "../messages/parseJson.ts";
import { isDocumentFault, openDocument } from "../messages/signed.ts";
import { templateBody } from "../messages/template.ts";
import { isNodeName } from "../token.ts";
import { readForeign, writeWhole } from "../trust/durableFile.ts";
import { signedTemplateFile } from "./keptTemplate.ts";
import { parseTemplate, type Template } from "./template.ts";
import { describeFaults } from "./yamlFile.ts";

const FILE_MODE = 0o640;

/** The highest serial of each template that was used on this machine. */
const serialsFile = z.record(z.string(), z.number());

/** The templates that an operator has signed, as the agent has stored them, which is not trusted. */
export class SignedTemplates {
  readonly #directory: string;
  readonly #serials: string;

  /** `directory`: that of the agent. `serials`: a file of the runner's, which outlasts restarts. */
  constructor(directory: string, serials: string) {
    this.#directory = directory;
    this.#serials = serials;
  }

  /** Returns a template; `undefined`: the agent has none of this name. Throws a Refusal for one that cannot be used. */
  read(name: string, trusted: ReadonlySet<string>): Template | undefined {
    if (!isNodeName(name)) return undefined;
    const path = signedTemplateFile(this.#directory, name);
    // As root, in a directory of the agent: the open of a device can do things, as of a watchdog that then restarts the machine.
    const read = readForeign(path, MAX_MESSAGE_BYTES);
    if (read === "missing") return undefined;
    if ("fault" in read) throw new Refusal(`the template ${name} is not used: ${path} ${read.fault}`);
    const body = openDocument(parseJson(read.bytes), "template", templateBody, trusted);
    if (isDocumentFault(body)) throw new Refusal(`the template ${name} is ${body.fault}: ${body.why}`);
    if (body.name !== name) throw new Refusal(`the template ${name} is signed as ${body.name}`);
    const parsed = parseTemplate(body.yaml);
    if ("faults" in parsed)
      throw new Refusal(
        `the template ${name} cannot be used: ${describeFaults(`${name}.yaml`, parsed.faults)}`,
      );
    this.#rejectOlder(name, body.serial);
    return parsed.value;
  }

  /** A hub that was taken over could send an earlier one again, which has a fault that was corrected. */
  #rejectOlder(name: string, serial: number): void {
    const serials = this.#readSerials();
    const known = Object.hasOwn(serials, name) ? (serials[name] ?? 0) : 0;
    if (serial < known)
      throw new Refusal(
        `the template ${name}, serial ${serial}, is older than one that was used here, serial ${known}`,
      );
    if (serial > known) writeWhole(this.#serials, JSON.stringify({ ...serials, [name]: serial }), FILE_MODE);
  }

  #readSerials(): Record<string, number> {
    try {
      return serialsFile.parse(JSON.parse(readFileSync(this.#serials, "utf8")));
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "ENOENT") return {};
      const reason = errno === undefined ? "it was not written by ffrtmp" : describeErrno(error);
      throw new Refusal(
        `${this.#serials} cannot be read: ${reason}`,
        "remove it; then older templates are accepted again",
      );
    }
  }
}
