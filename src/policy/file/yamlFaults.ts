import type { YAMLError } from "yaml";

type Explanation = [message: string, right: string];

const EXPLANATIONS: Partial<Record<YAMLError["code"], Explanation>> = {
  TAB_AS_INDENT: ["the indentation contains a tab", "spaces"],
  MULTIPLE_DOCS: ["starts a second document", "one document per file"],
  TAG_RESOLVE_FAILED: ["is a tag, and tags have no meaning here", "the value without the tag"],
  BAD_ALIAS: ["is not an alias", "*name, with &name on an earlier value"],
  BLOCK_AS_IMPLICIT_KEY: [
    "has a second colon on its line, or another indentation than its neighbours",
    'one "key: value" per line; quotes around text that contains ": "',
  ],
  BAD_INDENT: ["has the wrong indentation", "the same number of spaces for all keys of one level"],
  MISSING_CHAR: ["has no closing or separating character", "a quote, bracket or comma"],
  MULTILINE_IMPLICIT_KEY: ["is not a key: a key is on one line", "a word followed by a colon"],
  BAD_SCALAR_START: ["cannot start a value", "quotes around the value"],
  BAD_DIRECTIVE: ["is not a directive", "a file without directives"],
};

export function explainSyntax({ code, message }: YAMLError): Explanation {
  return EXPLANATIONS[code] ?? [`is not valid YAML: ${message.split("\n")[0]}`, "https://yaml.org"];
}
