import { closeFile, O_DIRECTORY, O_RDONLY, openFile } from "./files.ts";
import { syscall } from "./libc.ts";

const BPF_PROG_QUERY = 16;
/** sizeof(union bpf_attr) has grown to 144 bytes. The kernel accepts more if the rest is 0. */
const ATTR_BYTES = 256;

/** BPF_CGROUP_* of enum bpf_attach_type in include/uapi/linux/bpf.h, for devices, sockets, addresses and sysctls. */
const ATTACH_TYPES = [0, 1, 2, 3, 6, 8, 9, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22];

/**
 * Returns whether BPF programs are attached to a cgroup itself, as container engines and systemd do to restrict devices and
 * addresses. No file of the cgroup shows them. False where this process may not ask, which needs CAP_NET_ADMIN.
 */
export function hasCgroupPrograms(directory: string): boolean {
  let fd: number;
  try {
    fd = openFile(directory, O_RDONLY | O_DIRECTORY);
  } catch {
    return false;
  }
  try {
    return ATTACH_TYPES.some((type) => countPrograms(fd, type) > 0);
  } finally {
    closeFile(fd);
  }
}

/** Returns 0 for a type that this kernel does not have. */
function countPrograms(fd: number, type: number): number {
  // struct { u32 target_fd; u32 attach_type; u32 query_flags; u32 attach_flags; u64 prog_ids; u32 prog_cnt; … }
  const attr = new Uint32Array(ATTR_BYTES / 4);
  attr.set([fd, type]);
  return syscall("bpf", BPF_PROG_QUERY, attr, ATTR_BYTES) < 0 ? 0 : (attr[6] as number);
}
