import { FFRTMP, type Sandbox } from "../sandbox.ts";
import type { Units } from "./units.ts";

/**
 * Runs a script in a service with its own namespaces; `way` has the options of unshare(1). Its mounts end
 * with it. In the script `$ffrtmp` is the executable, with the sandbox's state directory.
 */
export function inView(
  { state, tag }: Sandbox,
  units: Units,
  way: string[],
  script: string,
): { code: number; stdout: string; stderr: string } {
  const unit = `ffrtmp-view-${tag}.service`;
  units.after(() => Bun.spawnSync(["systemctl", "stop", unit]));
  const service = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", `--unit=${unit}`];
  const prelude = `set -e\nexport FFRTMP_STATE=${state}\nffrtmp=${FFRTMP}\n`;
  const child = Bun.spawnSync([
    ...service,
    "timeout",
    "120",
    "unshare",
    ...way,
    "sh",
    "-c",
    prelude + script,
  ]);
  return { code: child.exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}

/**
 * Returns shell code that attaches to a process with these options and waits until it is governed.
 * `$observer` is then the PID of `ffrtmp attach`.
 */
export function attachIn(pid: string, jobId: string, flags: string): string {
  return `
$ffrtmp attach --pid ${pid} --job-id ${jobId} ${flags} & observer=$!
until $ffrtmp inspect ${jobId} --json 2>/dev/null | grep -qE '"state": ?"running"'; do kill -0 $observer; sleep 0.2; done
`;
}
