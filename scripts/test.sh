#!/usr/bin/env bash
# Installs what is missing, builds, runs every check and every test, those in virtual machines too. The last line counts
# them all. --no-vm leaves the virtual machines out.
set -u
. "$(dirname "$0")/setup.sh"

with_vm=true
case ${1-} in
  --no-vm) with_vm=false ;;
  "") ;;
  *) fail "usage: scripts/test.sh [--no-vm]" ;;
esac

install_packages
need_programs ffmpeg=ffmpeg strace=strace python3=python3-minimal script=bsdutils
# For the tests of the packages: what reads what they hold, and what runs the executable of the other platform.
need_programs lintian=lintian groff=groff mandoc=mandoc man=man-db zsh=zsh fish=fish qemu-aarch64-static=qemu-user-static \
  /usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1=libc6-arm64-cross
build

passed=0 failed=0 skipped=0
if scripts/check.sh; then passed=1; else failed=1; fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT

# count PATTERN [GROUP]: the sum of what its group matches in the output
count() { sed -n "s/$1/\\${2-1}/p" "$output" | awk '{ sum += $1 } END { print sum + 0 }'; }

# add_counts STATUS PASSED FAILED SKIPPED
add_counts() {
  passed=$((passed + $2))
  # A runner that died without counting has not passed.
  if [ "$1" -ne 0 ] && [ "$3" -eq 0 ]; then failed=$((failed + 1)); else failed=$((failed + $3)); fi
  skipped=$((skipped + $4))
}

# Those of test/vm run in virtual machines only.
node_modules/.bin/bun test --timeout 300000 src $(find test -mindepth 1 -maxdepth 1 -type d ! -name vm) 2>&1 | tee "$output"
add_counts "${PIPESTATUS[0]}" "$(count '^ *\([0-9]*\) pass$')" "$(count '^ *\([0-9]*\) fail$')" "$(count '^ *\([0-9]*\) skip$')"
not_tried=$(grep -E '^not (tried|compared)' "$output" | sort -u)

if $with_vm; then
  scripts/vm.sh test 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  if [ "$status" -eq 77 ]; then
    not_tried+=$'\n'"not tried: tests in virtual machines: $(tail -n 1 "$output")"
    skipped=$((skipped + 1))
  else
    line='^kernel [0-9.]*: \([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped.*'
    add_counts "$status" "$(count "$line" 1)" "$(count "$line" 2)" "$(count "$line" 3)"
    not_tried+=$'\n'$(grep -E '^kernel [^:]*: not (tried|compared)' "$output" | sort -u)
  fi
else
  not_tried+=$'\n'"not tried: tests in virtual machines: --no-vm"
fi

echo "$not_tried"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
