import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { type CommandNode, flatten, readCommandTree } from "../../scripts/generate/commandTree.ts";
import { MAN_TEXTS } from "../../scripts/generate/manText.ts";
import { FFRTMP, isRunning, readProc, type Sandbox, until } from "./sandbox.ts";

const ROOT = resolve(import.meta.dir, "../..");

/** Job ids in the documents. The jobs of these names run before an example that needs them. */
const JOB_IDS = /\b(?:transcode|customer|batch|live|web|nightly)-\d+\b/g;
/** Hints at jobs of other state directories, which other users of the machine may have. */
const OF_OTHERS = /another state directory|^ *try: ffrtmp ps --state-path/;
/** The PID in the documents that stands for a running process. */
const EXAMPLE_PID = /\b4026\b/g;
/** Commands that run until they are stopped, unless one of the options ends them. */
const ENDLESS = /^ffrtmp (?:attach|watch|stats|events .*-f|logs .*-f|fleet agent|run(?! -d))\b/;
/** On a machine that is no node of a fleet, it says how to become one. */
const OF_A_NODE = /^ffrtmp fleet agent\b/;
const ENDING = / --(?:once|dry-run|detach|policy)\b| -d\b/;
const STOPPED_AFTER_S = 4;
const SIGINT_CODES = [0, 124, 130];

/** Returns the examples of the manual pages, each with the name of its page. */
export function manualExamples(): [page: string, line: string][] {
  return Object.entries(MAN_TEXTS).flatMap(([page, { examples }]) =>
    examples.map(([, line]): [string, string] => [page, line]),
  );
}

/** Returns the examples of the manual pages that need more than this machine. */
export function unexecutedExamples(): string[] {
  return Object.values(MAN_TEXTS).flatMap(({ unexecuted = [] }) => unexecuted.map(([, line]) => line));
}

/** Returns the calls of ffrtmp in all code blocks of a document; those by ssh too, and those behind a pipe. */
export function callsIn(document: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8").replaceAll("\\\n", " ");
  return codeBlocks(text).flatMap((line) => {
    const [code = ""] = line.split(/ {2,}#/);
    return [...code.matchAll(/(?:^|[|&] ?|root@[\w-]+ )(ffrtmp [^|&><]*)/g)].map(([, call = ""]) =>
      call.trim(),
    );
  });
}

/** Returns the words of a call that no command and no option has: `--slot`, or `ffrtmp fleet list`. */
export function unknownWords(line: string): string[] {
  return line.split(" | ").flatMap((part) => {
    const words = part.slice(part.indexOf("ffrtmp ")).split(" -- ")[0]?.split(/\s+/) ?? [];
    const commands = flatten(readCommandTree());
    const command = commands
      .filter((each) => each.words.every((word, index) => word === words[index]))
      .reduce<CommandNode | undefined>(
        (longest, each) => (longest && longest.words.length > each.words.length ? longest : each),
        undefined,
      );
    if (command === undefined) return [words.slice(0, 2).join(" ")];
    const isGroup = command.commands.length > 0;
    const options = new Set(command.options.flatMap(({ long, short }) => [long, short]));
    const rest = words.slice(command.words.length);
    const unknown = rest.filter((word) => /^--?[a-z]/.test(word) && !options.has(word.split("=")[0]));
    return isGroup ? [words.join(" ")] : unknown;
  });
}

/** Returns the calls of ffrtmp in the code blocks of a section. */
export function callsInSection(document: string, heading: string): string[] {
  return codeLines(document, heading)
    .filter((line) => line.startsWith("ffrtmp "))
    .map((line) => line.split(/ {2,}#/)[0] as string);
}

function codeLines(document: string, heading: string): string[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  return codeBlocks(section.split("\n## ")[0] as string);
}

function codeBlocks(text: string): string[] {
  const blocks = text.matchAll(/^```\w*\n(.*?)\n```/gms);
  return [...blocks].flatMap(([, block = ""]) => block.split("\n"));
}

/** One command of a session in a document, with what it prints. */
export interface SessionStep {
  command: string;
  printed: string[];
}

/** Returns the session in a section: lines that begin with `$`, each followed by its output. */
export function sessionIn(document: string, heading: string): SessionStep[] {
  const steps: SessionStep[] = [];
  for (const line of codeLines(document, heading)) {
    const command = line.match(/^\$ (.*?)(?: {2,}#.*)?$/)?.[1];
    if (command === undefined) steps.at(-1)?.printed.push(line);
    else steps.push({ command, printed: [] });
  }
  return steps;
}

/** Where examples run. */
export interface ExamplePlace {
  cwd: string;
  env: Record<string, string>;
}

/**
 * Prepares the files that the examples name, and a PATH with the executable and an ffmpeg that reads its input in real
 * time, so that it lives for as long as its input lasts.
 */
export function prepareExamples(box: Sandbox, clipSeconds = 1): ExamplePlace {
  const cwd = box.path("examples");
  const bin = box.path("bin");
  mkdirSync(cwd);
  mkdirSync(bin);
  symlinkSync(FFRTMP, join(bin, "ffrtmp"));
  const source = `testsrc=duration=${clipSeconds}:size=128x72:rate=5`;
  const clip = ["-f", "lavfi", "-i", source, join(cwd, "in.mp4")];
  Bun.spawnSync(["ffmpeg", "-nostdin", "-loglevel", "error", ...clip]);
  const script = `#!/bin/bash\nexec -a ffmpeg ${Bun.which("ffmpeg")} -loglevel error -re "$@"\n`;
  writeFileSync(join(bin, "ffmpeg"), script, { mode: 0o755 });
  writeFileSync(join(cwd, "policy.yaml"), `target_commands: [${box.program("sleep").name}]\n`);
  return { cwd, env: { PATH: `${bin}${delimiter}${process.env["PATH"]}` } };
}

/**
 * Runs an example as an operator types it, after starting what it refers to: a process for the example PID, and the jobs
 * of the example ids. A command without an end is stopped as by Ctrl-C. Returns its exit code and what it printed.
 */
export async function runExample(
  box: Sandbox,
  { cwd, env }: ExamplePlace,
  line: string,
): Promise<{ isExpected: boolean; code: number; output: string }> {
  const created = [...line.matchAll(/--job-id (\S+)/g)].map(([, id]) => id);
  const duration = line.startsWith("ffrtmp wait") ? "1" : "1000";
  for (const id of new Set(line.match(JOB_IDS) ?? [])) {
    if (created.includes(id)) continue;
    const { stdout } = await box.run(["run", "-d", "--json", "--job-id", id, "--", "sleep", duration]);
    box.adopt(JSON.parse(stdout).pid);
  }
  const { name, path } = box.program("sleep");
  const target = box.spawn([path, "1000"]);
  const own = line
    .replace("policy explain", "policy explain --file policy.yaml")
    .replaceAll(EXAMPLE_PID, `${target.pid}`)
    .replaceAll("--target ffmpeg", `--target ${name}`);
  const isEndless = ENDLESS.test(line) && !ENDING.test(line.split(" -- ")[0] as string);
  const command = isEndless ? ["timeout", "--signal=INT", `${STOPPED_AFTER_S}`] : [];
  const child = box.spawn([...command, "sh", "-c", isEndless ? `exec ${own}` : own], { cwd, env });
  const texts = [child.stdout, child.stderr].map((each) => new Response(each as ReadableStream).text());
  const [output] = await Promise.all([Promise.all(texts), child.exited]);
  const code = await child.exited;
  const isExpected = isEndless ? SIGINT_CODES.includes(code) : code === 0;
  const isNoNode = OF_A_NODE.test(line) && code === 2 && output.join("").includes("join a fleet");
  return { isExpected: isExpected || isNoNode, code, output: output.join("") };
}

/**
 * Runs a session step by step, and returns what it printed in the form of the document: with the PIDs of the document in
 * place of the real ones. A PID that no step has printed stands for a running ffmpeg.
 */
export async function runSession(
  box: Sandbox,
  { cwd, env }: ExamplePlace,
  steps: SessionStep[],
): Promise<string[][]> {
  /** Real PIDs by those in the document. */
  const pids = new Map<string, string>();
  const ffmpeg = (): string => {
    const clip = ["ffmpeg", "-nostdin", "-i", "in.mp4", "-f", "null", "-"];
    return `${box.spawn(clip, { cwd, env: { ...env } }).pid}`;
  };
  const printed: string[][] = [];
  for (const step of steps) {
    const command = step.command.replaceAll(/(?<=kill -9 |--pid )\d+/g, (pid) => {
      const real = pids.get(pid) ?? ffmpeg();
      pids.set(pid, real);
      return real;
    });
    const killed = Number(/kill -9 (\d+)/.exec(command)?.[1]);
    if (killed > 0 && !readProc(killed, "environ").includes(`FFRTMP_STATE=${box.state}\0`))
      throw new Error(`PID ${killed} is no process of this test`);
    const child = box.spawn(["sh", "-c", `${command} 2>&1`], { cwd, env });
    const lines = (await new Response(child.stdout as ReadableStream).text()).trimEnd().split("\n");
    for (const [index, line] of lines.entries())
      addPids(pids, wordsOf(step.printed[index] ?? ""), wordsOf(line));
    // The kernel ends a process a moment after the signal.
    if (killed > 0) await until(`PID ${killed} has ended`, () => !isRunning(killed));
    const own = lines.filter((line) => line !== "" && !OF_OTHERS.test(line));
    printed.push(own.map(shapeOf));
  }
  return printed;
}

function wordsOf(line: string): string[] {
  return line.trim().split(/\s+/);
}

/** Adds the numbers at the same place in the document and in reality. Measured values have no fixed number of digits. */
function addPids(pids: Map<string, string>, inDocument: readonly string[], real: readonly string[]): void {
  // A step may kill a process by the number that is found here.
  if (inDocument.length !== real.length) return;
  for (const [place, pid] of inDocument.entries()) {
    const number = real[place] ?? "";
    if (/^\d{2,}$/.test(pid) && /^\d{2,}$/.test(number) && !pids.has(pid)) pids.set(pid, number);
  }
}

/** Returns a line without what differs from run to run: numbers, durations, times and the widths of columns. */
export function shapeOf(line: string): string {
  return line
    .replaceAll(/\d+(\.\d+)?/g, "0")
    .replaceAll(/\b0 ?(ms|s|sec|min|seconds?|minutes?)\b/g, "0s")
    .replaceAll(/\s+/g, " ")
    .trim();
}
