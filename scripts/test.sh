#!/usr/bin/env bash
# Installs missing programs, builds ffrtmp, and runs all checks and tests, also in virtual machines. The last
# line counts them: "N passed, N failed, N skipped". The lines before it name what was skipped and why ("not
# tried"), and every test that failed, with its fault. The files with failed tests run once more: a test that passes then counts as
# passed, and both lines stay in the output.
#
#   test.sh [--no-vm]   --no-vm runs no virtual machine
set -u
. "$(dirname "$0")/setup.sh"

with_vm=true
case ${1-} in
  --no-vm) with_vm=false ;;
  "") ;;
  *) fail "usage: scripts/test.sh [--no-vm]" ;;
esac

install_packages
need_programs ffmpeg=ffmpeg strace=strace python3=python3-minimal script=bsdutils /usr/bin/time=time
# Other media programs, whose own reports are compared with what ffrtmp shows: 6 MB of packages.
need_programs gst-launch-1.0=gstreamer1.0-tools gst-launch-1.0=gstreamer1.0-plugins-good HandBrakeCLI=handbrake-cli
# For the tests of the packages: tools that read the files of a package, and an emulator for the arm64
# executable.
need_programs lintian=lintian groff=groff mandoc=mandoc man=man-db zsh=zsh fish=fish qemu-aarch64-static=qemu-user-static \
  /usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1=libc6-arm64-cross openssl=openssl
# For the tests of the page.
need_programs chromium=chromium
need_promtool
need_nginx
need_cron
need_slurm
need_nats_server
need_sshd
build

passed=0 failed=0 skipped=0 failures=""
if scripts/check.sh; then
  passed=1
else
  failed=1
  failures="(fail) scripts/check.sh"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
output=$work/output

# add_counts PASSED FAILED SKIPPED: missing numbers count as one failure
add_counts() {
  passed=$((passed + ${1:-0}))
  failed=$((failed + ${2:-1}))
  skipped=$((skipped + ${3:-0}))
}

# run_here REPORT PATH...: runs tests on this machine, and writes their JUnit report to the file REPORT
run_here() {
  local report=$1
  shift
  node_modules/.bin/bun test --timeout 300000 --reporter=junit --reporter-outfile="$report" "$@" 2>&1 | tee -a "$output"
  return "${PIPESTATUS[0]}"
}

# The tests in test/vm run in virtual machines only.
# shellcheck disable=SC2046 # words
run_here "$work/report.xml" src scripts $(find test -mindepth 1 -maxdepth 1 -type d ! -name vm)
status=$?
read -r here_passed here_failed here_skipped \
  < <(node_modules/.bin/bun scripts/testReport.ts counts "$work/report.xml" "$status")
again=$(node_modules/.bin/bun scripts/testReport.ts failed "$work/report.xml")
if [ -n "$again" ]; then
  # Some races appear only while other programs use the machine. A test that fails twice has failed.
  echo "running again, because $here_failed failed: $(paste -s -d ' ' <<<"$again")" | tee -a "$output"
  # shellcheck disable=SC2086 # words
  if run_here "$work/again.xml" $again; then here_passed=$((here_passed + here_failed)) here_failed=0; fi
fi
add_counts "$here_passed" "$here_failed" "$here_skipped"
not_tried=$(grep '^not tried' "$output" | sort -u)
failures+=$'\n'$(node_modules/.bin/bun scripts/testReport.ts faults "$output")

if $with_vm; then
  FFRTMP_VM_COUNTS=$work/counts scripts/vm.sh test 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  if [ "$status" -eq 77 ]; then
    not_tried+=$'\n'"not tried: tests in virtual machines: $(tail -n 1 "$output")"
    skipped=$((skipped + 1))
  else
    before=$failed
    while read -r counts; do
      # shellcheck disable=SC2086 # three numbers
      add_counts $counts
    done < <(cat "$work/counts" 2>/dev/null)
    # vm.sh can also fail before or between the tests.
    if [ "$status" -ne 0 ] && [ "$failed" -eq "$before" ]; then failed=$((failed + 1)); fi
    not_tried+=$'\n'$(grep '^kernel [^:]*: not tried' "$output" | sort -u)
    # Also those that passed when they ran again.
    failures+=$'\n'$(node_modules/.bin/bun scripts/testReport.ts faults "$output")
  fi
else
  not_tried+=$'\n'"not tried: tests in virtual machines: --no-vm"
fi

# Last, so that a log whose start is cut off still names them.
printf '%s\n' "$not_tried" "$failures" | grep .
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
