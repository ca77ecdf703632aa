#!/usr/bin/env bash
# Installs what is missing, builds, runs every check and every test. The last line counts them.
set -u
. "$(dirname "$0")/setup.sh"

install_packages
need_programs ffmpeg=ffmpeg strace=strace python3=python3-minimal script=bsdutils
build

checks_passed=0 checks_failed=0
if scripts/check.sh; then checks_passed=1; else checks_failed=1; fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
node_modules/.bin/bun test --timeout 300000 src test 2>&1 | tee "$output"
status=${PIPESTATUS[0]}

count() { sed -n "s/^ *\([0-9][0-9]*\) $1\$/\1/p" "$output" | tail -n 1; }
passed=$(count pass) failed=$(count fail) skipped=$(count skip)
passed=$((${passed:-0} + checks_passed))
failed=$((${failed:-0} + checks_failed))
# A runner that died without counting has not passed.
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi

grep -E '^not (tried|compared)' "$output" | sort -u
echo "$passed passed, $failed failed, ${skipped:-0} skipped"
[ "$failed" -eq 0 ]
