/** The options here for those of Docker and systemd-run, which people write out of habit. */
const OTHER_TOOLS: Record<string, string> = {
  "--memory":
    "--memory-limit 2GiB, which slows the job above it, or --memory-max 2GiB, where the kernel may kill",
  "--memory-reservation": "--memory-limit 2GiB",
  "--cpuset-cpus": "--cpus 0-3",
  "--cpu-shares": "--cpu-weight 100; 1024 shares are a weight of 100",
  "--cpu-period": '--cpu-max "150000 100000", a quota and its period in µs',
  "--pids-limit": "--pids-max 100",
  "--device-read-bps": '--io-max "/dev/sda rbps=10MB/s"',
  "--device-write-bps": '--io-max "/dev/sda wbps=10MB/s"',
  "--device-read-iops": '--io-max "/dev/sda riops=500"',
  "--device-write-iops": '--io-max "/dev/sda wiops=500"',
  "--property": "--cpu-quota 150 for CPUQuota=150%, --memory-max 2GiB for MemoryMax=2G",
  "--name": "--job-id NAME",
  "--unit": "--job-id NAME",
  "-m": "--memory-limit 2GiB, which slows the job above it, or --memory-max 2GiB, where the kernel may kill",
  "-c": "--cpu-weight 100; 1024 shares are a weight of 100",
  "-n": "--nice 10",
};
const COMMANDS_WITH_ID = ["run", "exec", "attach"];
const COMMANDS_WITH_LIMITS = [...COMMANDS_WITH_ID, "watch", "limits"];

/** Names the option that does here what an unknown one does in another tool. */
export function explainFault(text: string): string {
  const flag = /^ffrtmp: unknown option '([^'=]+)/.exec(text)?.[1] ?? "";
  const own = Object.hasOwn(OTHER_TOOLS, flag) ? OTHER_TOOLS[flag] : undefined;
  const commands = own?.startsWith("--job-id") ? COMMANDS_WITH_ID : COMMANDS_WITH_LIMITS;
  if (own === undefined || !commands.includes(process.argv[2] ?? "")) return text;
  const [first = ""] = text.split("\n");
  return `${first}\n  try: ${own}\n`;
}
