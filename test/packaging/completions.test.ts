import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { bashCompletion } from "../../scripts/generate/bashCompletion.ts";
import { readCommandTree } from "../../scripts/generate/commandTree.ts";
import { fishCompletion } from "../../scripts/generate/fishCompletion.ts";
import { zshCompletion } from "../../scripts/generate/zshCompletion.ts";
import { FFRTMP, lacksCommand, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const program = readCommandTree();

/** Returns the candidates of a shell for the last word of a command line; of a path only the last name. */
type Complete = (...words: string[]) => string[];

const SHELLS: Record<string, () => Complete> = { bash: prepareBash, zsh: prepareZsh, fish: prepareFish };

for (const [shell, prepare] of Object.entries(SHELLS)) {
  const shellTest = testIf(lacksCommand(shell));

  shellTest(`${shell} completes commands, options, values and paths`, () => {
    const complete = prepare();
    expect(complete("ffrtmp", "at")).toEqual(["attach"]);
    expect(complete("ffrtmp", "attach", "--cpu-q")).toEqual(["--cpu-quota"]);
    expect(complete("ffrtmp", "attach", "--p")).toEqual(["--pid", "--pids-max", "--placement", "--policy"]);
    expect(complete("ffrtmp", "watch", "--events", "")).toEqual(["auto", "polling"]);
    expect(complete("ffrtmp", "run", "--workdir", "/usr/bi")).toEqual(["bin"]);
    expect(complete("ffrtmp", "attach", "--pid", `${process.pid}`)).toContain(`${process.pid}`);
    expect(complete("ffrtmp", "attach", "--job-id", "")).toEqual([]);
  });

  shellTest(`${shell} completes the command line after run as that of another command`, () => {
    const complete = prepare();
    expect(complete("ffrtmp", "run", "--", "sha256su")).toEqual(["sha256sum"]);
    expect(complete("ffrtmp", "run", "--cpu-quota", "50", "--", "sha256sum", "/usr/bi")).toEqual(["bin"]);
    expect(complete("ffrtmp", "run", "--cpu-quota", "50", "sha256sum", "/usr/bi")).toEqual(["bin"]);
  });

  shellTest(`${shell} completes job ids of the given state directory`, async () => {
    const other = sandbox().path("other");
    await sandbox().run(["run", "--job-id", "ended-one", "--", "true"]);
    await sandbox().run(["run", "--job-id", "elsewhere", "--state-path", other, "--", "true"]);
    await sandbox().startJob("open-one", [], ["sleep", "1000"]);
    const complete = prepare();
    expect(complete("ffrtmp", "inspect", "")).toEqual(["ended-one", "open-one"]);
    expect(complete("ffrtmp", "detach", "")).toEqual(["open-one"]);
    expect(complete("ffrtmp", "inspect", "--state-path", other, "")).toEqual(["elsewhere"]);
  });
}

function prepareBash(): Complete {
  const file = writeScript("ffrtmp", bashCompletion(program));
  // compopt fails outside a command line that is being edited.
  const script = `. ${file}; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ffrtmp
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return (...words) => shellLines(["bash", "--norc", "-c", script, "bash", ...words]);
}

function prepareFish(): Complete {
  const file = writeScript("ffrtmp.fish", fishCompletion(program));
  return (...words) =>
    shellLines(["fish", "--no-config", "-c", `source ${file}; complete -C "$argv"`, ...words]).map((line) =>
      (line.split("\t")[0] as string).replace(/\/$/, ""),
    );
}

/**
 * zsh completes only in its line editor, so it runs in a pseudo terminal with a compadd that records
 * candidates.
 */
function prepareZsh(): Complete {
  const file = writeScript("_ffrtmp", zshCompletion(program));
  const functions = file.slice(0, file.lastIndexOf("/"));
  const inner = `PS1=; fpath=(${functions} $fpath); autoload -Uz compinit; compinit -u -D
compadd() {
  local -a offered; local o=\${@[(I)-(O|A|D)]}
  if (( o )); then builtin compadd "$@"; return; fi
  builtin compadd -O offered "$@"; (( $#offered )) && print -rl -- $offered >>${functions}/offered
  builtin compadd "$@"
}
bindkey '^I' complete-word; zstyle ':completion:*' menu no; setopt no_beep no_list_ambiguous; print READY`;
  writeScript("inner.zsh", inner);
  const outer = `zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z 'source ${functions}/inner.zsh'
zpty -r z out '*READY*'; zpty -n -w z "$1"$'\\t'; sleep 0.1; zpty -n -w z $'\\x15'
zpty -w z 'print DO''NE'; zpty -r z out '*DONE*'; zpty -d z; cat ${functions}/offered 2>/dev/null`;
  return (...words) => {
    Bun.spawnSync(["rm", "-f", `${functions}/offered`]);
    return shellLines(["zsh", "-f", "-c", outer, "zsh", words.join(" ")]);
  };
}

/** Runs a shell with the tested ffrtmp in its PATH, and returns the sorted lines of its output. */
function shellLines(cmd: string[]): string[] {
  const env = { ...sandbox().environment, PATH: `${sandbox().path("bin")}:${process.env["PATH"]}` };
  const { stdout, stderr } = Bun.spawnSync(cmd, { env, cwd: sandbox().directory });
  expect(stderr.toString()).toBe("");
  const lines = stdout.toString().split("\n").filter(Boolean);
  return [...new Set(lines.map((line) => basename(line.split("\t")[0] as string)))].sort();
}

function writeScript(name: string, text: string): string {
  const path = sandbox().path(`completion/${name}`);
  mkdirSync(sandbox().path("completion"), { recursive: true });
  mkdirSync(sandbox().path("bin"), { recursive: true });
  writeFileSync(path, text);
  Bun.spawnSync(["ln", "-sf", FFRTMP, sandbox().path("bin/ffrtmp")]);
  return path;
}
