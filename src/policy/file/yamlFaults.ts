import type { YAMLError } from "yaml";

type Explanation = [message: string, right: string];

const EXPLANATIONS: Partial<Record<YAMLError["code"], Explanation>> = {
  TAB_AS_INDENT: ["a tab stands where lines are indented", "blanks"],
  MULTIPLE_DOCS: ["begins a second document", "one document in a file"],
  TAG_RESOLVE_FAILED: ["is a tag, and tags mean nothing here", "the value without it"],
  BAD_ALIAS: ["is no alias", "*name, with &name before it"],
  BLOCK_AS_IMPLICIT_KEY: [
    "has a second colon in its line, or is indented unlike its neighbours",
    'one "key: value" in a line; quotes around a text that holds ": "',
  ],
  BAD_INDENT: ["is not indented as it should be", "the same number of blanks for all keys of one level"],
  MISSING_CHAR: ["lacks what closes it or divides it", "a quote, bracket or comma"],
  MULTILINE_IMPLICIT_KEY: ["is no key: a key stands in one line", "a word with a colon behind it"],
  BAD_SCALAR_START: ["cannot begin a value", "quotes around the value"],
  BAD_DIRECTIVE: ["is no directive", "a file without directives"],
};

export function explainSyntax({ code, message }: YAMLError): Explanation {
  return EXPLANATIONS[code] ?? [`is no YAML: ${message.split("\n")[0]}`, "https://yaml.org"];
}
