import { documentTexts, eventKindTexts, JSON_RULES, type KeyText, objectTexts } from "./jsonModel.ts";
import type { ManRelease } from "./manRelease.ts";
import { inline } from "./markdownText.ts";
import { bold, page, quoted, tagged } from "./roff.ts";

/** Returns the manual page of the JSON documents, from the schemas that the tests check each output against. */
export function jsonManPage({ version, date }: ManRelease): string {
  const documents = documentTexts(plain).flatMap(({ commandLine, type }) =>
    tagged(bold(commandLine), inline(`${type}.`)),
  );
  const objects = objectTexts(plain).map(({ name, description, keys }): [string, string[]] => [
    name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toUpperCase(),
    [".PP", inline(description), ...keys.flatMap(keyEntry)],
  ]);
  const kinds = eventKindTexts().flatMap(({ kind, meaning, detail }) =>
    tagged(bold(kind), inline(`${capitalised(meaning)}. Detail: ${detail}.`)),
  );
  return page(
    [quoted("FFRTMP-JSON"), "5", quoted(date), quoted(`ffrtmp ${version}`), quoted("File Formats")],
    [
      ["NAME", ["ffrtmp-json \\- the JSON documents that ffrtmp prints"]],
      ["DESCRIPTION", JSON_RULES.flatMap((rule) => [".PP", inline(rule)])],
      ["DOCUMENTS", documents],
      ...objects,
      ["KINDS OF EVENTS", kinds],
      ["SEE ALSO", ['.BR "ffrtmp" (1)']],
    ],
  );
}

function keyEntry({ key, type, meaning }: KeyText): string[] {
  const text = meaning === "" ? `${capitalised(type)}.` : `${capitalised(type)}. ${sentence(meaning)}`;
  return tagged(bold(key), inline(text));
}

/** Text that begins with a value in backquotes begins so in a sentence too. */
function sentence(text: string): string {
  return `${capitalised(text)}.`;
}

function capitalised(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

function plain(name: string): string {
  return name;
}
