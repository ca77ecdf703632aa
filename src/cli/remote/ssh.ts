/** The longest wait for a machine. The others are shown without it. */
const ANSWER_TIMEOUT_MS = 15_000;
/** A connection that is not there after this time is a machine that is down. */
const CONNECT_TIMEOUT_SECONDS = 5;
const MAX_ANSWER_BYTES = 64 * 1024 ** 2;
/** ssh(1), "EXIT STATUS": an error of ssh itself. */
const SSH_FAILED = 255;
/** A shell did not find the command. */
const NOT_FOUND = 127;

/** The output of ffrtmp on one machine, or the reason why there is none. */
export type RemoteAnswer =
  | { readonly host: string; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly host: string; readonly failure: string };

/**
 * Runs ffrtmp on another machine, by the user's own ssh with its configuration. Asks for no password: the output of several
 * machines is on one terminal. The command there ends with the connection.
 */
export async function askHost(
  host: string,
  words: readonly string[],
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<RemoteAnswer> {
  const command = ["ffrtmp", ...words].map(quote).join(" ");
  const options = ["-T", "-o", "BatchMode=yes", "-o", `ConnectTimeout=${CONNECT_TIMEOUT_SECONDS}`];
  const ssh = Bun.which("ssh", { PATH: process.env["PATH"] ?? "" });
  if (ssh === null) return { host, failure: "ssh is not installed here" };
  const child = Bun.spawn([ssh, ...options, "--", host, command], {
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: MAX_ANSWER_BYTES,
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
  if (code === SSH_FAILED) return { host, failure: lastLineOf(stderr) ?? "ssh failed" };
  if (code === NOT_FOUND) return { host, failure: "ffrtmp is not installed there, or not in its PATH" };
  if (child.signalCode !== null) return { host, failure: `ssh was ended by ${child.signalCode}` };
  return { host, code, stdout, stderr };
}

/** The shell of the other machine reads the words again. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function lastLineOf(text: string): string | undefined {
  return text.trim().split("\n").at(-1)?.trim() || undefined;
}
