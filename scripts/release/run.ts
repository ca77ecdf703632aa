/** Runs a program to its end and returns its stdout. Throws with all its output if the program fails. */
export function run(cmd: string[], options: { cwd?: string; env?: Record<string, string> } = {}): string {
  const { cwd = ".", env = {} } = options;
  const { success, exitCode, stdout, stderr } = Bun.spawnSync(cmd, { cwd, env: { ...process.env, ...env } });
  if (!success) throw new Error(`${cmd.join(" ")}: exit ${exitCode}\n${stderr}${stdout}`);
  return stdout.toString();
}
