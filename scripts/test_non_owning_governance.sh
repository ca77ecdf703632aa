#!/usr/bin/env bash
# Demonstrates on real workloads that they keep running when ffrtmp is killed. The four tests take less than a
# minute. Installs missing programs, builds ffrtmp, and exits with 1 when a check fails.
#
#   FFRTMP_EXECUTABLE    an executable to test instead of building one
#   FFRTMP_DEMO_SECONDS  length of the transcoded video in seconds (20). An emulated machine encodes slowly.
#
# The workloads wait for a file from this script before they end, so the checks do not depend on the machine's
# speed.
set -u
. "$(dirname "$0")/setup.sh"

ffrtmp=${FFRTMP_EXECUTABLE-}
if [ -z "$ffrtmp" ]; then
  install_packages
  build
  ffrtmp=$PWD/dist/ffrtmp
fi
need_programs ffmpeg=ffmpeg
command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null || fail "ffmpeg and ffprobe are needed: apt-get install ffmpeg"

work=$(mktemp -d)
export FFRTMP_STATE=$work/state
started=() # PIDs of the processes that this script starts, and the only ones that it kills
checks=0 failures=0

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local pid
  for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  wait 2>/dev/null
  "$ffrtmp" ps >/dev/null 2>&1 # removes the cgroups of ended jobs
  rm -rf "$work"
}
trap clean_up EXIT

title() { printf '\n%s\n' "$*"; }
step() { printf '  → %s\n' "$*"; }

# check TEXT COMMAND...: reports whether the command succeeds
check() {
  local text=$1
  shift
  checks=$((checks + 1))
  if "$@"; then
    printf '  ✓ %s\n' "$text"
  else
    failures=$((failures + 1))
    printf '  ✗ FAILED: %s\n' "$text"
  fi
}

# Prints field 3 (state) or 5 (process group) of /proc/PID/stat. The name in parentheses may contain any
# character.
stat_field() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f $(($2 - 2)); }
alive() {
  local state
  state=$(stat_field "$1" 3)
  [ -n "$state" ] && [ "$state" != Z ]
}
dead() { ! alive "$1"; }
pgid() { stat_field "$1" 5; }
# job_field JOB FIELD: prints a number from the job's record
job_field() { "$ffrtmp" inspect "$1" --json 2>/dev/null | sed -n "s/^  \"$2\": \([0-9][0-9]*\),*\$/\1/p"; }
has_pid() { [ -n "$(job_field "$1" pid)" ]; }
cgroups_of() { cat "/proc/$1/cgroup" 2>/dev/null; }
in_job_cgroup() { cgroups_of "$1" | grep -q 'ffrtmp-'; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# A workload counts until its file NAME.go appears. It ends by itself after two minutes, even if this script
# is killed.
await='tries=0; until [ -e "$0.go" ] || [ $tries -ge 1200 ]; do echo $tries; tries=$((tries + 1)); sleep 0.1; done'
let_end() { : >"$1.go"; }

# eventually SECONDS COMMAND...: waits until the command succeeds
eventually() {
  local tries=$(($1 * 10))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

kill_hard() {
  kill -KILL "$1"
  wait "$1" 2>/dev/null
}

is_root || printf '\nNot run as root: ffrtmp cannot set limits, and the checks of cgroups are left out.\n'

title "Test 1: ffrtmp run is killed, and its workload keeps running"
"$ffrtmp" run --job-id demo-run --cpu-quota 100 -- sh -c "$await"' >/dev/null; echo finished > "$0"; exit 7' "$work/finished" &
wrapper=$!
started+=("$wrapper")
eventually 10 has_pid demo-run
workload=$(job_field demo-run pid)
started+=("$workload")
echo "  ffrtmp   PID $wrapper (PGID $(pgid "$wrapper"))"
echo "  workload PID $workload (PGID $(pgid "$workload"))"
check "the workload has its own process group" [ "$(pgid "$workload")" = "$workload" ]
check "ffrtmp is in another process group" [ "$(pgid "$wrapper")" != "$workload" ]
is_root && check "the workload is in the job's cgroup" in_job_cgroup "$workload"
# The names of all cgroups of one state directory have the same prefix.
group_prefix=$(cgroups_of "$workload" | sed -n 's/^.*\/\(ffrtmp-[0-9a-f]*-\)demo-run$/\1/p' | head -n 1)
step "SIGKILL to ffrtmp run, PID $wrapper"
kill_hard "$wrapper"
check "ffrtmp run is dead" dead "$wrapper"
check "the workload is running" alive "$workload"
is_root && check "the workload is still in the job's cgroup" in_job_cgroup "$workload"
check "ffrtmp ps lists the job" sh -c "'$ffrtmp' ps | grep -q demo-run"
let_end "$work/finished"
eventually 20 dead "$workload"
check "the workload ran to its end" [ "$(cat "$work/finished" 2>/dev/null)" = finished ]
"$ffrtmp" history | sed 's/^/  /'
check "its exit code was not observed, and is recorded as unknown" \
  sh -c "'$ffrtmp' inspect demo-run --json | grep -q '\"exit_unknown_because\": \"'"

title "Test 2: ffrtmp attach is killed, and its changes are undone later"
sh -c "{ $await; } > \"\$0\"" "$work/counted" &
workload=$!
started+=("$workload")
before=$(cgroups_of "$workload")
"$ffrtmp" attach --pid "$workload" --job-id demo-attach --cpu-quota 50 --memory-limit 512 &
observer=$!
started+=("$observer")
echo "  workload PID $workload (PGID $(pgid "$workload")), started without ffrtmp"
eventually 10 has_pid demo-attach
echo "  ffrtmp   PID $observer (PGID $(pgid "$observer"))"
is_root && check "the workload is in the job's cgroup" eventually 10 in_job_cgroup "$workload"
step "SIGKILL to ffrtmp attach, PID $observer"
kill_hard "$observer"
check "the workload is running" alive "$workload"
is_root && check "the workload is still in the job's cgroup" in_job_cgroup "$workload"
step "ffrtmp detach demo-attach"
check "ffrtmp detach succeeds" "$ffrtmp" detach demo-attach
check "the workload is back in its own cgroups, byte for byte" [ "$(cgroups_of "$workload")" = "$before" ]
counted=$(wc -l <"$work/counted")
check "the workload continues to count, from $counted" eventually 10 sh -c "[ \"\$(wc -l <'$work/counted')\" -gt $((counted + 3)) ]"
let_end "$work/counted"
eventually 30 dead "$workload"
counted=$(wc -l <"$work/counted")
check "the workload counted to $counted without a gap" [ "$counted" -gt 0 -a "$(cat "$work/counted")" = "$(seq 0 $((counted - 1)))" ]

title "Test 3: ffrtmp run is killed during an FFmpeg transcode"
seconds=${FFRTMP_DEMO_SECONDS:-20} rate=25
"$ffrtmp" run --job-id demo-ffmpeg --cpu-quota 100 -- \
  ffmpeg -nostdin -loglevel error -y -f lavfi -i "testsrc=duration=$seconds:size=640x360:rate=$rate" \
  -c:v libx264 -preset medium -pix_fmt yuv420p "$work/out.mp4" &
wrapper=$!
started+=("$wrapper")
eventually 10 has_pid demo-ffmpeg
workload=$(job_field demo-ffmpeg pid)
started+=("$workload")
echo "  ffrtmp PID $wrapper (PGID $(pgid "$wrapper"))"
echo "  FFmpeg PID $workload (PGID $(pgid "$workload"))"
eventually 20 [ -s "$work/out.mp4" ]
check "FFmpeg is transcoding" alive "$workload"
step "SIGKILL to ffrtmp run, PID $wrapper"
kill_hard "$wrapper"
check "FFmpeg is running" alive "$workload"
eventually 600 dead "$workload"
probe() { ffprobe -v error -select_streams v:0 -count_frames -show_entries "$1" -of csv=p=0 "$work/out.mp4" 2>/dev/null; }
frames=$(probe stream=nb_read_frames)
duration=$(probe format=duration)
echo "  output: $(stat -c %s "$work/out.mp4") bytes, ${frames%,} frames, $duration s"
check "the output has every frame" [ "${frames%,}" = $((seconds * rate)) ]
check "the output has its full length" [ "${duration%.*}" = "$seconds" ]

title "Test 4: ffrtmp watch finds FFmpeg, is killed, and is started again"
watch_runs() { "$ffrtmp" ps --daemon --json 2>/dev/null | grep -q '"state": "running"'; }
"$ffrtmp" watch --scan-interval 1s --cpu-quota 150 --memory-limit 2048 2>"$work/watch.log" &
daemon=$!
started+=("$daemon")
eventually 10 watch_runs
# FFmpeg ends when it reads a q.
mkfifo "$work/keys"
exec 3<>"$work/keys"
ffmpeg -loglevel error -y -re -f lavfi -i "testsrc=duration=120:size=320x240:rate=$rate" \
  -c:v libx264 -preset ultrafast "$work/live.mp4" <"$work/keys" 3<&- &
workload=$!
started+=("$workload")
echo "  ffrtmp PID $daemon (PGID $(pgid "$daemon"))"
echo "  FFmpeg PID $workload (PGID $(pgid "$workload")), started without ffrtmp"
check "ffrtmp watch found FFmpeg" eventually 10 grep -q "Attaching to PID $workload (ffmpeg) as job auto-ffmpeg-$workload" "$work/watch.log"
is_root && check "FFmpeg is in the job's cgroup" eventually 10 in_job_cgroup "$workload"
step "SIGKILL to ffrtmp watch, PID $daemon"
kill_hard "$daemon"
check "FFmpeg is running" alive "$workload"
is_root && check "FFmpeg is still in the job's cgroup" in_job_cgroup "$workload"
step "ffrtmp watch is started again"
"$ffrtmp" watch --scan-interval 1s --cpu-quota 150 --memory-limit 2048 2>>"$work/watch.log" &
daemon=$!
started+=("$daemon")
observed_by() { [ "$(job_field "$1" observer_pid)" = "$2" ]; }
check "the new ffrtmp watch observes the job" eventually 10 observed_by "auto-ffmpeg-$workload" "$daemon"
echo q >&3
wait "$workload"
code=$?
check "FFmpeg's exit code $code is recorded" \
  eventually 10 grep -q "JOB auto-ffmpeg-$workload .*exit=$code " "$work/watch.log"
grep '^[^ ]* JOB' "$work/watch.log" | sed 's/^/  /'
kill_hard "$daemon"

"$ffrtmp" ps >/dev/null
if is_root; then
  left=$(find /sys/fs/cgroup -type d -name "$group_prefix*" 2>/dev/null)
  check "no cgroup named ${group_prefix}* is left" [ -n "$group_prefix" -a -z "$left" ]
fi

printf '\n%s checks, %s failed\n' "$checks" "$failures"
[ "$failures" -eq 0 ] || fail "run \"$ffrtmp doctor\" to see what this machine supports"
