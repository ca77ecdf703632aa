/** Returns the CPU time of this thread in ms, since its start. */
export function cpuMsOfThread(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
