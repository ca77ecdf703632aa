#!/usr/bin/env bash
# Runs tests and commands in virtual machines with Debian 12, systemd and cgroup v2, on several kernels.
# Installs missing programs by apt as root.
#
#   vm.sh build [--fresh]                       build the disk images, unless the cache has them
#   vm.sh test [--kernel K] [PATH...]           run tests in a new machine, on all kernels or one
#   vm.sh start [--kernel K]                    start a machine and copy this worktree to /work
#   vm.sh shell [--kernel K] [--user U]         open a shell in a machine, and start the machine if necessary
#   vm.sh exec [--kernel K] [--user U] CMD...   run a command in /work of a machine; exit with its exit code
#   vm.sh push [--kernel K]                     copy this worktree and dist/ffrtmp again
#   vm.sh push [--kernel K] SRC DEST            copy a file or a directory
#   vm.sh stop [--kernel K]                     stop a machine and discard its disks
#
# K is 6.1 (the default), 6.12 or 6.17. U is root (the default) or ffuser. Each worktree has its own machines.
#
# Environment variables:
#   FFRTMP_VM_MEMORY_MB      memory of a machine in MiB (2048)
#   FFRTMP_VM_APPEND         kernel parameters, such as systemd.unified_cgroup_hierarchy=0 to mount v1 and v2
#   FFRTMP_VM_TEST_LIMIT_S   seconds that the tests of one machine may take (2700)
#   FFRTMP_VM_COUNTS         a file to which `test` appends a line "PASSED FAILED SKIPPED" for each kernel
#
# Exits with 77 when this host cannot run virtual machines, and prints the reason in the last line.
set -u
. "$(dirname "$0")/setup.sh"
. scripts/vm/image.sh
. scripts/vm/machine.sh
. scripts/vm/tests.sh

command=${1-}
[ $# -gt 0 ] && shift
kernel="" user=root
while [ $# -gt 0 ]; do
  case $1 in
    --kernel) kernel=${2-}; shift 2 || fail "--kernel needs one of ${kernels[*]}" ;;
    --user) user=${2-}; shift 2 || fail "--user needs a name" ;;
    *) break ;;
  esac
done
case " ${kernels[*]} " in
  *" ${kernel:-6.1} "*) ;;
  *) fail "unknown kernel $kernel: choose one of ${kernels[*]}" ;;
esac

# Installs and builds everything that a machine needs to start.
prepare() {
  need_qemu || exit 77
  need_nats_server
  build_image || exit $?
}

case $command in
  build) build_image "$@" && image_directory ;;
  test)
    prepare
    if [ -n "$kernel" ]; then kernels=("$kernel"); fi
    test_kernels "$@"
    ;;
  start)
    prepare
    start_machine "${kernel:-6.1}" && push_worktree "${kernel:-6.1}"
    ;;
  shell)
    prepare
    start_machine "${kernel:-6.1}" && ssh_machine "${kernel:-6.1}" "$user" -t
    ;;
  exec) exec_machine "${kernel:-6.1}" "$user" "$@" ;;
  push)
    if [ $# -eq 0 ]; then push_worktree "${kernel:-6.1}"; else push_machine "${kernel:-6.1}" "$1" "${2?push SRC DEST}"; fi
    ;;
  stop) stop_machine "${kernel:-6.1}" ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
