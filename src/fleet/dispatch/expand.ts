import { Refusal } from "../../jobs/errors.ts";
import { ValueFault } from "../../limits/units.ts";
import { checkParam } from "./params.ts";
import type { Template, Word } from "./template.ts";

/** The values of one attempt. */
export interface AttemptValues {
  readonly job: string;
  readonly attempt: number;
  readonly params: Readonly<Record<string, string | number>>;
}

/**
 * Returns the arguments that a template makes of the values of an attempt: each word of the template is one argument, and there
 * is no shell. Throws a Refusal that names the parameter at fault.
 */
export function expandTemplate(template: Template, values: AttemptValues): string[] {
  const builtIn = new Map([
    ["job", values.job],
    ["attempt", String(values.attempt)],
  ]);
  const names = Object.keys(template.params);
  for (const name of Object.keys(values.params))
    if (!names.includes(name))
      throw new Refusal(`the template has no parameter ${JSON.stringify(name)}`, knownNames(names));
  const texts = new Map(builtIn);
  for (const [name, param] of Object.entries(template.params)) {
    const value = Object.hasOwn(values.params, name) ? values.params[name] : undefined;
    if (value === undefined) throw new Refusal(`the parameter ${name} has no value`, knownNames(names));
    try {
      texts.set(
        name,
        checkParam(param, value, (text) => fillBuiltIn(text, builtIn)),
      );
    } catch (error) {
      if (!(error instanceof ValueFault)) throw error;
      throw new Refusal(`the parameter ${name} is refused: ${JSON.stringify(value)} ${error.message}`);
    }
  }
  return template.command.map((word, index) => fillWord(word, texts, index));
}

function fillWord(word: Word, texts: ReadonlyMap<string, string>, index: number): string {
  const argument = word
    .map((part) => ("literal" in part ? part.literal : (texts.get(part.param) ?? "")))
    .join("");
  const hasValue = word.some((part) => "param" in part);
  // Of several parameters in a row, the first can be what makes an option of them.
  if (hasValue && argument.startsWith("-"))
    throw new Refusal(`argument ${index} would begin with -, as an option: ${JSON.stringify(argument)}`);
  return argument;
}

function fillBuiltIn(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\{(job|attempt)\}/g, (_, name: string) => values.get(name) ?? "");
}

function knownNames(names: readonly string[]): string {
  return names.length === 0 ? "it has none" : `its parameters are ${names.join(", ")}`;
}
