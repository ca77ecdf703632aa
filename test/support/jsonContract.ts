import { z } from "zod";
import { JSON_DOCUMENTS, type JsonDocument } from "../../src/json/commandDocuments.ts";

const LONG_OPTIONS: Record<string, string> = { "-d": "--detach" };

/** Throws for a JSON output that is not as `docs/json.md` describes it. Other outputs pass. */
export function checkJsonContract(args: readonly string[], stdout: string, stderr = ""): void {
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  if (!own.includes("--json")) return;
  const document = documentOf(own);
  const command = `ffrtmp ${own.join(" ")}`;
  if (document === undefined) throw new Error(`docs/json.md has no document of: ${command}`);
  for (const text of textsOf(document, stdout, stderr)) {
    const { error } = document.schema.safeParse(JSON.parse(text));
    if (error)
      throw new Error(
        `the output of ${command} differs from docs/json.md:\n${z.prettifyError(error)}\n${text}`,
      );
  }
}

/** Returns the document that a command line with `--json` prints; `undefined` for a command that prints none. */
export function documentOf(args: readonly string[]): JsonDocument | undefined {
  const options = args.map((arg) => LONG_OPTIONS[arg] ?? arg.replace(/=.*/s, ""));
  return JSON_DOCUMENTS.find(
    ({ command, option }) =>
      command.split(" ").every((word, index) => args[index] === word) &&
      (option === undefined || options.includes(option)),
  );
}

function textsOf({ form }: JsonDocument, stdout: string, stderr: string): string[] {
  if (form === "stderr") return stderr.split("\n").filter((line) => line.startsWith("{"));
  if (stdout === "") return [];
  return form === "lines" ? stdout.trimEnd().split("\n") : [stdout];
}
