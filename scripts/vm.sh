#!/usr/bin/env bash
# Virtual machines with Debian 12, systemd and cgroup v2, on several kernels, for what this machine cannot show.
# What is missing is installed by apt when root.
#
#   vm.sh build [--fresh]              make the images (once per recipe; cached)
#   vm.sh test [--kernel K] [PATH...]  start, push, run the tests of PATH there, on all kernels or one; stop
#   vm.sh shell [--kernel K]           a shell in a machine (started when none is up; stays up)
#   vm.sh start [--kernel K]           start one that stays up, with this worktree pushed to /work
#   vm.sh exec [--kernel K] [--user U] CMD...   run a command there, in /work; its exit code is passed on
#   vm.sh push [--kernel K] [SRC DEST] a file or directory, or without words this worktree and dist/ffrtmp again
#   vm.sh stop [--kernel K]            end it; nothing of it is kept
#
# K is 6.1 (the default), 6.12 or 6.17, U is root (the default) or ffuser. Each worktree has machines of its own.
# FFRTMP_VM_MEMORY_MB (2048) and FFRTMP_VM_APPEND, words for the kernel, such as systemd.unified_cgroup_hierarchy=0 for a
# hybrid of both cgroup versions, hold for machines that are started.
# Exit code 77: no machine can be had here; the reason is printed.
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
  *) fail "no kernel $kernel: there are ${kernels[*]}" ;;
esac

# What it takes to start one.
prepare() {
  need_qemu || exit 77
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
