# Sourced by vm.sh: the tests that run inside.

# What the tests need of node_modules: the runtime is in the image, the checkers stay outside.
left_out=(bun typescript @typescript @biomejs knip bun-types @types @oxc-parser @oxc-resolver oxc-parser oxc-resolver .bin .cache)

# push_worktree KERNEL: the files of this worktree, as they are now, with dist/ffrtmp, to /work
push_worktree() {
  local kernel=$1 excludes=() name
  [ -x dist/ffrtmp ] || fail "dist/ffrtmp is not built: node_modules/.bin/bun scripts/build.ts"
  for name in "${left_out[@]}"; do excludes+=("--exclude=node_modules/$name"); done
  {
    git ls-files -z --cached --others --exclude-standard
    printf '%s\0' dist/ffrtmp node_modules
  } | tar -c --null --ignore-failed-read "${excludes[@]}" -T - 2>/dev/null |
    ssh_machine "$kernel" root "rm -rf /work/src /work/test && tar -C /work -x --no-same-owner && mkdir -p /work/node_modules/.bin && ln -sf /usr/local/bin/bun /work/node_modules/.bin/bun"
}

# default_tests KERNEL: everything, but of the newest what no older one can show: ends that nobody saw, told by a pidfd.
default_tests() {
  case $1 in
    6.17) echo test/vm/service.test.ts ;;
    *) echo test/vm src/kernel/cgroup test/live/container.test.ts ;;
  esac
}

# test_kernels [PATH...]: all kernels at once; every line says which it comes from, the last ones count
test_kernels() {
  local status=0 kernel runs=()
  # shellcheck disable=SC2064 # the kernels of now
  trap "for kernel in ${kernels[*]}; do stop_machine \$kernel; done" EXIT
  for kernel in "${kernels[@]}"; do
    (
      set -o pipefail
      test_kernel "$kernel" "$@" 2>&1 | sed -u "s/^/kernel $kernel: /"
    ) &
    runs+=($!)
  done
  for run in "${runs[@]}"; do wait "$run" || status=1; done
  return "$status"
}

test_kernel() {
  local kernel=$1 began=$SECONDS up status=1 passed failed skipped results
  shift
  # shellcheck disable=SC2046 # words
  [ $# -gt 0 ] || set -- $(default_tests "$kernel")
  results=$(machine_directory "$kernel")/results.txt
  stop_machine "$kernel"
  rm -f "$results"
  if start_machine "$kernel" && push_worktree "$kernel"; then
    up=$SECONDS
    exec_machine "$kernel" root env FFRTMP_VM="$kernel" timeout --kill-after=10 "${FFRTMP_VM_TEST_LIMIT_S:-1200}" \
      bun test --timeout 300000 --retry 1 "$@" 2>&1 | tee "$results"
    status=${PIPESTATUS[0]}
    if ! machine_pid "$kernel" >/dev/null; then
      echo "the machine went away; the end of its console:"
      tail -n 60 "$(machine_directory "$kernel")/console"
    fi
  fi
  stop_machine "$kernel"
  passed=$(count_results pass "$results") failed=$(count_results fail "$results") skipped=$(count_results skip "$results")
  # A runner that died without counting has not passed.
  if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  echo "$passed passed, $failed failed, $skipped skipped; up and filled in $((${up-SECONDS} - began)) s, tested in $((SECONDS - ${up-SECONDS})) s"
  return "$status"
}

# count_results WORD FILE: of the last lines of `bun test`
count_results() {
  local number
  number=$(sed -n "s/^ *\([0-9][0-9]*\) $1\$/\1/p" "$2" 2>/dev/null | tail -n 1)
  echo "${number:-0}"
}
