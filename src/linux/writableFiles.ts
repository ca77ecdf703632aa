/**
 * The only cgroup files that ffrtmp writes: who is where, and limits. No process is stopped or killed by a
 * number in one of them, unlike cgroup.kill, cgroup.freeze, freezer.state, memory.force_empty and others. The
 * seccomp filter cannot tell files apart, so this list can.
 */
export const WRITABLE_FILES: readonly string[] = [
  "cgroup.procs",
  "cgroup.threads",
  "tasks",
  "cgroup.type",
  "cgroup.subtree_control",
  "cpu.max",
  "cpu.weight",
  "cpu.idle",
  "memory.high",
  "memory.max",
  "memory.swap.max",
  "io.max",
  "io.weight",
  "io.bfq.weight",
  "pids.max",
  "cpuset.cpus",
  "cpuset.mems",
  "cpu.shares",
  "cpu.cfs_quota_us",
  "cpu.cfs_period_us",
  "memory.soft_limit_in_bytes",
  "memory.limit_in_bytes",
  "blkio.throttle.read_bps_device",
  "blkio.throttle.write_bps_device",
  "blkio.throttle.read_iops_device",
  "blkio.throttle.write_iops_device",
  "blkio.bfq.weight",
];
