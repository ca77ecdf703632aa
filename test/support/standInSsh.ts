import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { FFRTMP, type Sandbox } from "./sandbox.ts";

/** Other machines are state directories here: `machines/NAME` of the sandbox. */
const SCRIPT = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
host=$2; shift 2
case $host in
  silent) exec sleep 1000 ;;
  down) echo "ssh: connect to host down port 22: Connection refused" >&2; exit 255 ;;
  old) echo "ffrtmp: unknown option '--machine'" >&2; exit 2 ;;
  strange) while cat "$MACHINES/strange"; do sleep 0.1; done ;;
  flood) exec yes "$(cat "$MACHINES/flood")" ;;
  forgetful)
    case $* in
      "ffrtmp ps"*) echo $$ > "$MACHINES/ps"; exec sleep 1000 ;;
      *) while cat "$MACHINES/forgetful"; do sleep 0.1; done ;;
    esac ;;
  bare) PATH=/usr/bin:/bin exec sh -c "$*" ;;
  *) FFRTMP_STATE="$MACHINES/$host" PATH="$MACHINES/bin:$PATH" exec sh -c "$*" ;;
esac
`;

/**
 * Puts a stand-in for ssh into a sandbox, which runs the command of a machine in the state directory of that name. `silent`
 * never answers, `down` cannot be reached, `bare` has no ffrtmp, `old` has one that cannot be followed, and `strange` prints a
 * file, `machines/strange`, again and again; `flood` does so without a pause. `forgetful` prints `machines/forgetful` in place of
 * `stats`, and its `ps`, whose PID is in `machines/ps`, never answers. Returns the environment for ffrtmp.
 */
export function makeStandInSsh(box: Sandbox): Record<string, string> {
  const [ssh, bin] = [box.path("ssh"), box.path("machines/bin")];
  for (const path of [ssh, bin]) mkdirSync(path, { recursive: true });
  writeFileSync(`${ssh}/ssh`, SCRIPT);
  chmodSync(`${ssh}/ssh`, 0o755);
  symlinkSync(FFRTMP, `${bin}/ffrtmp`);
  return { PATH: `${ssh}:${process.env["PATH"]}`, MACHINES: box.path("machines"), HOME: box.directory };
}

/**
 * Starts a job on such a machine, and returns when it runs. In the background, so that its ffrtmp outlives the end of the test by
 * as long as it takes to remove the cgroups.
 */
export async function startJobOn(
  box: Sandbox,
  host: string,
  jobId: string,
  ...flags: string[]
): Promise<void> {
  const state = box.path(`machines/${host}`);
  box.adoptState(state);
  const words = ["run", "--detach", "--job-id", jobId, ...flags, "--", "sleep", "1000"];
  const { code, stderr } = await box.run(words, { env: { FFRTMP_STATE: state } });
  if (code !== 0) throw new Error(`job ${jobId} does not start: ${stderr}`);
  const { stdout } = await box.run(["inspect", jobId, "--state-path", state, "--json"]);
  box.adopt(JSON.parse(stdout).pid);
}
