# Sourced by vm.sh: the tests that run inside.

# What the tests need of node_modules: the runtime is in the image, the checkers stay outside.
left_out=(bun typescript @typescript @biomejs knip bun-types @types @oxc-parser @oxc-resolver oxc-parser oxc-resolver .bin .cache)

# push_worktree KERNEL: the files of this worktree, as they are now, with dist/ffrtmp and the packages that are there, to /work
push_worktree() {
  local kernel=$1 excludes=() name
  [ -x dist/ffrtmp ] || fail "dist/ffrtmp is not built: node_modules/.bin/bun scripts/build.ts"
  for name in "${left_out[@]}"; do excludes+=("--exclude=node_modules/$name"); done
  {
    git ls-files -z --cached --others --exclude-standard
    printf '%s\0' dist/ffrtmp dist/vm node_modules
  } | tar -c --null --ignore-failed-read "${excludes[@]}" -T - 2>/dev/null |
    ssh_machine "$kernel" root "rm -rf /work/src /work/test && tar -C /work -x --no-same-owner && mkdir -p /work/node_modules/.bin && ln -sf /usr/local/bin/bun /work/node_modules/.bin/bun"
}

# default_tests KERNEL: everything, but of the newest what no older one can show (ends that nobody saw, told by a pidfd),
# with the tests that go before it.
default_tests() {
  case $1 in
    6.17) echo -t 'the.service.starts|transcodes.of.two|what.ends.while|ordinary.user' test/vm/service.test.ts test/vm/rootless.test.ts ;;
    *) echo test/vm src/linux/cgroup test/live/container.test.ts ;;
  esac
}

# test_kernels [PATH...]: as many kernels at once as there are processors to emulate them; every line says which it comes
# from, the last of each counts
test_kernels() {
  local status=0 kernel
  [ -x dist/ffrtmp ] || fail "dist/ffrtmp is not built: node_modules/.bin/bun scripts/build.ts"
  node_modules/.bin/bun scripts/vm/debs.ts dist/vm || return 1
  # shellcheck disable=SC2064 # the kernels of now
  trap "for kernel in ${kernels[*]}; do stop_machine \$kernel; done" EXIT
  for kernel in "${kernels[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || status=1; done
    (
      set -o pipefail
      test_kernel "$kernel" "$@" 2>&1 | sed -u "s/^/kernel $kernel: /"
    ) &
  done
  while [ -n "$(jobs -p)" ]; do wait -n || status=1; done
  return "$status"
}

test_kernel() {
  local kernel=$1 began=$SECONDS passed failed skipped again results
  shift
  # shellcheck disable=SC2046 # words
  [ $# -gt 0 ] || set -- $(default_tests "$kernel")
  results=$(machine_directory "$kernel")/results.txt
  run_tests "$kernel" "$results" "$@"
  passed=$(count_results pass "$results") failed=$(count_results fail "$results") skipped=$(count_results skip "$results")
  again=$(failed_files "$results")
  if ! grep -qs "^Ran [0-9]" "$results"; then
    # A runner that died without counting has not passed.
    failed=$((failed + 1))
  elif [ -n "$again" ]; then
    # Emulated, a time limit of systemd or a race that never shows elsewhere may end a test. In a new machine, once, by file.
    echo "tried again in a new machine, because $failed failed: $(paste -s -d ' ' <<<"$again")"
    # shellcheck disable=SC2086 # words
    if run_tests "$kernel" "$results.again" $again; then passed=$((passed + failed)) failed=0; fi
  fi
  echo "$passed passed, $failed failed, $skipped skipped; in $((SECONDS - began)) s"
  [ "$failed" -eq 0 ]
}

# run_tests KERNEL RESULTS PATH...: in a machine of their own; what they print goes into the file RESULTS, too
run_tests() {
  local kernel=$1 results=$2 status=1
  shift 2
  stop_machine "$kernel"
  rm -f "$results"
  if start_machine "$kernel" && push_worktree "$kernel"; then
    exec_machine "$kernel" root env FFRTMP_VM="$kernel" timeout --kill-after=10 "${FFRTMP_VM_TEST_LIMIT_S:-1200}" \
      bun test --timeout 300000 "$@" 2>&1 | tee "$results"
    status=${PIPESTATUS[0]}
    if ! machine_pid "$kernel" >/dev/null; then
      echo "the machine went away; the end of its console:"
      tail -n 60 "$(machine_directory "$kernel")/console"
    fi
  fi
  stop_machine "$kernel"
  return "$status"
}

# failed_files RESULTS: those that hold a failed test
failed_files() {
  awk '/^[^ ]+\.test\.ts:$/ { file = substr($0, 1, length($0) - 1) } /^\(fail\)/ { failed[file] = 1 } END { for (file in failed) print file }' "$1" 2>/dev/null
}

# count_results WORD FILE: of the last lines of `bun test`
count_results() {
  local number
  number=$(sed -n "s/^ *\([0-9][0-9]*\) $1\$/\1/p" "$2" 2>/dev/null | tail -n 1)
  echo "${number:-0}"
}
