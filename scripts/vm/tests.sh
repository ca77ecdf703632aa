# Sourced by vm.sh. Runs tests in the virtual machines.

# Packages that are not copied: the image has bun, and the checkers run on the host.
left_out=(bun typescript @typescript @biomejs knip bun-types @types @oxc-parser @oxc-resolver oxc-parser oxc-resolver .bin .cache)

# push_worktree KERNEL: copies the files of this worktree, dist/ffrtmp and node_modules to /work
push_worktree() {
  local kernel=$1 excludes=() name
  [ -x dist/ffrtmp ] || fail "dist/ffrtmp is not built: node_modules/.bin/bun scripts/build.ts"
  for name in "${left_out[@]}"; do excludes+=("--exclude=node_modules/$name"); done
  {
    git ls-files -z --cached --others --exclude-standard
    printf '%s\0' dist/ffrtmp dist/vm node_modules
  } | tar -c --null --ignore-failed-read "${excludes[@]}" -T - 2>/dev/null |
    ssh_machine "$kernel" root "rm -rf /work/src /work/test && tar -C /work -x --no-same-owner && mkdir -p /work/node_modules/.bin && ln -sf /usr/local/bin/bun /work/node_modules/.bin/bun" &&
    push_nats_server "$kernel"
}

# push_nats_server KERNEL: copies the server of the fleet's tests, which Debian 12 has too old, where tests look for it
push_nats_server() {
  local server=$HOME/.cache/ffrtmp/nats-server
  if [ -x "$server" ]; then push_machine "$1" "$server" /root/.cache/ffrtmp/nats-server; fi
}

# Tests of programs around ffrtmp: dpkg, ssh, nats-server, and the demonstration script. One kernel is enough, and under
# emulation each takes minutes.
on_first_kernel=(demonstrations fleet package remote)

# default_tests KERNEL: prints the arguments for `bun test`. The newest kernel runs only the tests that differ
# there, because its pidfds keep the exit codes of processes that nothing observed, and the tests that prepare
# for them.
default_tests() {
  case $1 in
    6.12) printf '%s\n' test/vm/*.test.ts src/linux/cgroup test/live/container.test.ts |
      grep -v -F "$(printf '/%s.test.ts\n' "${on_first_kernel[@]}")" ;;
    6.17) echo -t 'the.service.starts|transcodes.of.two|while.the.daemon.is.down|unprivileged.user' test/vm/service.test.ts test/vm/rootless.test.ts ;;
    *) echo test/vm src/linux/cgroup test/live/container.test.ts ;;
  esac
}

# test_kernels [PATH...]: tests as many kernels at once as this host has processors. Each line of output
# begins with the kernel's version.
test_kernels() {
  local status=0 kernel
  [ -x dist/ffrtmp ] || fail "dist/ffrtmp is not built: node_modules/.bin/bun scripts/build.ts"
  node_modules/.bin/bun scripts/vm/debs.ts dist/vm || return 1
  # shellcheck disable=SC2064 # expand the kernels now
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

# Prints the counts in its last line, and appends them as three numbers to the file FFRTMP_VM_COUNTS if that
# is set.
test_kernel() {
  local kernel=$1 start=$SECONDS status passed failed skipped again report
  shift
  # shellcheck disable=SC2046 # words
  [ $# -gt 0 ] || set -- $(default_tests "$kernel")
  report=$(machine_directory "$kernel")/report.xml
  run_tests "$kernel" "$report" "$@"
  status=$?
  read -r passed failed skipped < <(node_modules/.bin/bun scripts/testReport.ts counts "$report" "$status" "$@")
  again=$(node_modules/.bin/bun scripts/testReport.ts failed "$report")
  if [ -n "$again" ]; then
    # A test can fail under emulation only: systemd has time limits, and some races appear nowhere else. The
    # files with failed tests run once more, in a new machine.
    echo "running again in a new machine, because $failed failed: $(paste -s -d ' ' <<<"$again")"
    # shellcheck disable=SC2086 # words
    if run_tests "$kernel" "$report.again" $again; then passed=$((passed + failed)) failed=0; fi
  fi
  [ -z "${FFRTMP_VM_COUNTS-}" ] || echo "$passed $failed $skipped" >>"$FFRTMP_VM_COUNTS"
  echo "$passed passed, $failed failed, $skipped skipped; in $((SECONDS - start)) s"
  [ "$failed" -eq 0 ]
}

# run_tests KERNEL REPORT PATH...: runs tests in a new machine, and copies their JUnit report to the file
# REPORT
run_tests() {
  local kernel=$1 report=$2 status=1
  shift 2
  stop_machine "$kernel"
  rm -f "$report"
  if start_machine "$kernel" && push_worktree "$kernel"; then
    exec_machine "$kernel" root env FFRTMP_VM="$kernel" timeout --kill-after=10 "${FFRTMP_VM_TEST_LIMIT_S:-2700}" \
      bun test --timeout 300000 --reporter=junit --reporter-outfile=/work/report.xml "$@"
    status=$?
    if machine_pid "$kernel" >/dev/null; then
      exec_machine "$kernel" root cat /work/report.xml >"$report"
    else
      echo "the machine stopped by itself; the end of its console:"
      tail -n 60 "$(machine_directory "$kernel")/console"
    fi
  fi
  stop_machine "$kernel"
  return "$status"
}
