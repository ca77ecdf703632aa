import { firstSignal } from "../../sys/ownSignals.ts";
import { oneLine } from "../../sys/visibleText.ts";
import { signalNumber } from "../../sys/waitStatus.ts";
import { printError, printJson, printOut, writeOut } from "../output/messages.ts";
import { tableWidth } from "../output/terminal.ts";
import { parseHosts } from "./hosts.ts";
import { askHost, type RemoteAnswer, refusalOf } from "./ssh.ts";
import { type HostTable, parseTables, renderMerged } from "./tables.ts";

/** A machine did not answer, and the output lacks it. */
const INCOMPLETE = 1;
const NO_PROBLEM = 0;
/** health of a machine that does not answer. */
const HEALTH_UNKNOWN = 3;
/** The exit code of a command that a signal has ended, without its number, as shells say it. */
const FATAL_SIGNAL = 128;

export interface RemoteFlags {
  on: string;
  json?: boolean;
  trunc?: boolean;
}

interface Output {
  readonly host: string;
  readonly stdout: string;
}

/**
 * Runs a command on other machines at the same time, and prints their output as one, with the machine first. A machine that
 * does not answer is named on stderr, and holds up no other. Returns the exit code: that of the worst machine for `health`.
 */
export async function runOnHosts(
  command: string,
  argv: readonly string[],
  flags: RemoteFlags,
): Promise<number> {
  const words = withoutOption(argv, "--on");
  const once = command === "stats" && !words.includes("--once") ? ["--once"] : [];
  const asked = [command, ...words, ...once];
  const answers = await askAll(parseHosts(flags.on), asked);
  if (typeof answers === "string") return FATAL_SIGNAL + (signalNumber(answers) ?? 0);
  const outputs: Output[] = [];
  let exitCode = NO_PROBLEM;
  for (const answer of answers) {
    const failure = failureOf(answer, command);
    if ("code" in answer && command === "health") exitCode = Math.max(exitCode, answer.code);
    if (failure === undefined) outputs.push(answer as Output);
    else {
      printError(`${answer.host}: ${oneLine(failure)}`);
      exitCode = Math.max(exitCode, command === "health" ? HEALTH_UNKNOWN : INCOMPLETE);
    }
  }
  if (flags.json) printMergedJson(outputs);
  else if (command === "health") printLines(outputs);
  else printMergedTables(outputs, tableWidth(flags));
  return exitCode;
}

/**
 * Asks all machines at the same time. A signal that ends this command ends its own ssh too, which would wait on for a machine
 * that is silent. Returns the name of the signal then.
 */
async function askAll(hosts: readonly string[], words: readonly string[]): Promise<RemoteAnswer[] | string> {
  const abort = new AbortController();
  const ended = firstSignal().then((signal) => {
    abort.abort();
    return signal;
  });
  return Promise.race([
    Promise.all(hosts.map((host) => askHost(host, words, { signal: abort.signal }))),
    ended,
  ]);
}

/** Returns why a machine has no part in the output. The exit code of `health` is a finding. */
function failureOf(answer: RemoteAnswer, command: string): string | undefined {
  if ("failure" in answer) return answer.failure;
  if (answer.code === 0 || (command === "health" && answer.stdout !== "")) return undefined;
  return refusalOf(answer.stderr, answer.code);
}

/** Removes an option with its value: `--on a,b` or `--on=a,b`. */
function withoutOption(argv: readonly string[], name: string): string[] {
  const kept: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    if (word === name) index++;
    else if (!word.startsWith(`${name}=`)) kept.push(word);
  }
  return kept;
}

/** A list of objects becomes one list. Objects on lines stay on lines. */
function printMergedJson(outputs: readonly Output[]): void {
  const parsed = outputs.map(({ host, stdout }) => ({ host, ...parseDocument(stdout) }));
  const withHost = parsed.flatMap(({ host, objects }) => objects.map((object) => ({ host, ...object })));
  if (parsed.some(({ isLines }) => isLines))
    writeOut(withHost.map((object) => `${JSON.stringify(object)}\n`).join(""));
  else printJson(withHost);
}

function parseDocument(text: string): { objects: object[]; isLines: boolean } {
  if (text.trim() === "") return { objects: [], isLines: false };
  try {
    const document: object | object[] | null = JSON.parse(text);
    const objects = Array.isArray(document) ? document : document === null ? [] : [document];
    return { objects, isLines: !text.startsWith("[") && !text.trimEnd().includes("\n") };
  } catch {
    const lines = text.trimEnd().split("\n");
    return { objects: lines.map((line) => JSON.parse(line) as object), isLines: true };
  }
}

function printLines(outputs: readonly Output[]): void {
  for (const { host, stdout } of outputs)
    for (const line of stdout.trimEnd().split("\n")) printOut(`${host}: ${line}`);
}

/** The tables of a command have the same order on all machines, and begin with the same column. */
function printMergedTables(outputs: readonly Output[], width: number | undefined): void {
  const tables = outputs.flatMap(({ host, stdout }) =>
    parseTables(stdout).map((table): HostTable => ({ host, table })),
  );
  const byKind = Map.groupBy(tables, ({ table }) => table.headings[0]);
  const texts = [...byKind.values()].map((ofKind) => renderMerged(ofKind, width));
  if (texts.length > 0) printOut(texts.join("\n\n"));
}
