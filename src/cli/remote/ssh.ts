/** The longest wait for a machine. The others are shown without it. */
const ANSWER_TIMEOUT_MS = 15_000;
/** A connection that is not there after this time is a machine that is down. */
const CONNECT_TIMEOUT_SECONDS = 5;
/** ssh ends after three of these without a sign of life: ssh_config(5), ServerAliveCountMax. */
const ALIVE_INTERVAL_SECONDS = 10;
const MAX_ANSWER_BYTES = 64 * 1024 ** 2;
/** ssh(1), "EXIT STATUS": an error of ssh itself. */
const SSH_FAILED = 255;
export const NO_SSH = "ssh is not installed here";
/** A shell did not find the command. */
const NOT_FOUND = 127;

/** The output of ffrtmp on one machine, or the reason why there is none. */
export type RemoteAnswer =
  | { readonly host: string; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly host: string; readonly failure: string };

/**
 * Runs ffrtmp on another machine, by the user's own ssh with its configuration. Asks for no password: the output of several
 * machines is on one terminal. The command there ends with the connection, which `signal` ends too.
 */
export async function askHost(
  host: string,
  words: readonly string[],
  { timeoutMs = ANSWER_TIMEOUT_MS, signal }: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<RemoteAnswer> {
  const ssh = sshCommand(host, words);
  if (ssh === undefined) return { host, failure: NO_SSH };
  const child = Bun.spawn(ssh, {
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: MAX_ANSWER_BYTES,
    ...(signal ? { signal } : {}),
  });
  const answer = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(late.resolve, timeoutMs);
  const ended = await Promise.race([answer, late.promise]);
  clearTimeout(timer);
  if (ended === undefined) {
    child.kill("SIGKILL");
    return { host, failure: `no answer within ${timeoutMs / 1000} s` };
  }
  const [stdout, stderr, code] = ended;
  const failure = failureOfSsh(child, stderr);
  return failure === undefined ? { host, code, stdout, stderr } : { host, failure };
}

/** Returns the command that runs ffrtmp on another machine; `undefined`: ssh is not installed here. */
export function sshCommand(host: string, words: readonly string[]): string[] | undefined {
  const command = ["ffrtmp", ...words].map(quote).join(" ");
  const settings = [
    "BatchMode=yes",
    `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`,
    // So that no ssh waits for a machine that is gone.
    `ServerAliveInterval=${ALIVE_INTERVAL_SECONDS}`,
  ];
  const options = ["-T", ...settings.flatMap((setting) => ["-o", setting])];
  const ssh = Bun.which("ssh", { PATH: process.env["PATH"] ?? "" });
  return ssh === null ? undefined : [ssh, ...options, "--", host, command];
}

/** Returns why ssh, which has ended, did not run ffrtmp to its end; `undefined`: it did. */
export function failureOfSsh(
  { exitCode, signalCode }: Pick<Bun.Subprocess, "exitCode" | "signalCode">,
  stderr: string,
): string | undefined {
  if (exitCode === SSH_FAILED) return lastLineOf(stderr) ?? "ssh failed";
  if (exitCode === NOT_FOUND) return "ffrtmp is not installed there, or not in its PATH";
  return signalCode === null ? undefined : `ssh was ended by ${signalCode}`;
}

/** Returns what ffrtmp on another machine has said first, or its exit code. */
export function refusalOf(stderr: string, code: number | null): string {
  const [first = ""] = stderr.trim().split("\n");
  return first.replace(/^ffrtmp: /, "") || `ffrtmp there has exited with code ${code}`;
}

/** Returns a command line for the shell here, with which a person runs ffrtmp on another machine. */
export function commandLineFor(host: string, words: readonly string[]): string {
  return ["ssh", quote(host), "ffrtmp", ...words.map((word) => quote(quote(word)))].join(" ");
}

/** The shell of the other machine reads the words again. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function lastLineOf(text: string): string | undefined {
  return text.trim().split("\n").at(-1)?.trim() || undefined;
}
