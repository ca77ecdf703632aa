#!/usr/bin/env bash
# Four demonstrations on real workloads: whatever happens to ffrtmp, the workload goes on.
# Installs what is missing, builds, and fails when any check is not true. FFRTMP_EXECUTABLE names one that is built already,
# FFRTMP_DEMO_SECONDS the length of the transcoded video (20): an emulated machine takes a minute for what others do in five
# seconds. Workloads go on until they are told that everything was looked at, however slow the machine is.
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
started=() # PIDs of what this script starts; they are ended by PID and by nothing else
checks=0 failures=0

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local pid
  for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  wait 2>/dev/null
  "$ffrtmp" ps >/dev/null 2>&1 # removes the cgroups of what has ended
  rm -rf "$work"
}
trap clean_up EXIT

title() { printf '\n%s\n' "$*"; }
step() { printf '  → %s\n' "$*"; }

# check TEXT COMMAND...: whether the command succeeds
check() {
  local text=$1
  shift
  checks=$((checks + 1))
  if "$@"; then
    printf '  ✓ %s\n' "$text"
  else
    failures=$((failures + 1))
    printf '  ✗ NOT TRUE: %s\n' "$text"
  fi
}

# Field 3 (state) or 5 (process group) of /proc/PID/stat; what stands in parentheses may hold anything.
stat_field() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f $(($2 - 2)); }
alive() {
  local state
  state=$(stat_field "$1" 3)
  [ -n "$state" ] && [ "$state" != Z ]
}
dead() { ! alive "$1"; }
pgid() { stat_field "$1" 5; }
# job_field JOB FIELD: a number from the job's record
job_field() { "$ffrtmp" inspect "$1" --json 2>/dev/null | sed -n "s/^  \"$2\": \([0-9][0-9]*\),*\$/\1/p"; }
has_pid() { [ -n "$(job_field "$1" pid)" ]; }
cgroups_of() { cat "/proc/$1/cgroup" 2>/dev/null; }
in_job_cgroup() { cgroups_of "$1" | grep -q 'ffrtmp-'; }
limits_possible() { [ "$(id -u)" -eq 0 ]; }

# What a workload runs until the script has seen what it wants to see; it ends by itself when the script is killed.
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

title "Test 1: a wrapper is killed, its workload goes on"
"$ffrtmp" run --job-id demo-run --cpu-quota 100 -- sh -c "$await"' >/dev/null; echo finished > "$0"; exit 7' "$work/finished" &
wrapper=$!
started+=("$wrapper")
eventually 10 has_pid demo-run
workload=$(job_field demo-run pid)
started+=("$workload")
echo "  wrapper  PID $wrapper (PGID $(pgid "$wrapper"))"
echo "  workload PID $workload (PGID $(pgid "$workload"))"
check "the workload leads a process group of its own" [ "$(pgid "$workload")" = "$workload" ]
check "the wrapper is in another one" [ "$(pgid "$wrapper")" != "$workload" ]
limits_possible && check "the workload is in its own cgroup" in_job_cgroup "$workload"
# The names of all cgroups of this state directory begin like this one's.
group_prefix=$(cgroups_of "$workload" | sed -n 's/^.*\/\(ffrtmp-[0-9a-f]*-\)demo-run$/\1/p' | head -n 1)
step "SIGKILL to the wrapper, PID $wrapper"
kill_hard "$wrapper"
check "the wrapper is dead" dead "$wrapper"
check "the workload lives" alive "$workload"
limits_possible && check "its cgroup holds it still" in_job_cgroup "$workload"
check "ffrtmp ps knows the job" sh -c "'$ffrtmp' ps | grep -q demo-run"
let_end "$work/finished"
eventually 20 dead "$workload"
check "the workload came to its own end" [ "$(cat "$work/finished" 2>/dev/null)" = finished ]
"$ffrtmp" history | sed 's/^/  /'
check "nobody saw its exit code, so none is claimed" sh -c "'$ffrtmp' inspect demo-run | grep -q '^exit .*unknown'"

title "Test 2: an observer attaches, is killed, and is undone"
sh -c "{ $await; } > \"\$0\"" "$work/counted" &
workload=$!
started+=("$workload")
before=$(cgroups_of "$workload")
"$ffrtmp" attach --pid "$workload" --job-id demo-attach --cpu-quota 50 --memory-limit 512 &
observer=$!
started+=("$observer")
echo "  workload PID $workload (PGID $(pgid "$workload")), started without ffrtmp"
eventually 10 has_pid demo-attach
echo "  observer PID $observer (PGID $(pgid "$observer"))"
limits_possible && check "the workload is governed" eventually 10 in_job_cgroup "$workload"
step "SIGKILL to the observer, PID $observer"
kill_hard "$observer"
check "the workload lives" alive "$workload"
limits_possible && check "its limits stay" in_job_cgroup "$workload"
step "ffrtmp detach demo-attach"
check "the job can be released" "$ffrtmp" detach demo-attach
check "its cgroups are what they were, byte for byte" [ "$(cgroups_of "$workload")" = "$before" ]
counted=$(wc -l <"$work/counted")
check "it counts on, from $counted" eventually 10 sh -c "[ \"\$(wc -l <'$work/counted')\" -gt $((counted + 3)) ]"
let_end "$work/counted"
eventually 30 dead "$workload"
counted=$(wc -l <"$work/counted")
check "it counted to $counted without a gap" [ "$counted" -gt 0 -a "$(cat "$work/counted")" = "$(seq 0 $((counted - 1)))" ]

title "Test 3: a real FFmpeg transcode survives its wrapper"
seconds=${FFRTMP_DEMO_SECONDS:-20} rate=25
"$ffrtmp" run --job-id demo-ffmpeg --cpu-quota 100 -- \
  ffmpeg -nostdin -loglevel error -y -f lavfi -i "testsrc=duration=$seconds:size=640x360:rate=$rate" \
  -c:v libx264 -preset medium -pix_fmt yuv420p "$work/out.mp4" &
wrapper=$!
started+=("$wrapper")
eventually 10 has_pid demo-ffmpeg
workload=$(job_field demo-ffmpeg pid)
started+=("$workload")
echo "  wrapper PID $wrapper (PGID $(pgid "$wrapper")), FFmpeg PID $workload (PGID $(pgid "$workload"))"
eventually 20 [ -s "$work/out.mp4" ]
check "the transcode is under way" alive "$workload"
step "SIGKILL to the wrapper, PID $wrapper"
kill_hard "$wrapper"
check "FFmpeg goes on" alive "$workload"
eventually 600 dead "$workload"
probe() { ffprobe -v error -select_streams v:0 -count_frames -show_entries "$1" -of csv=p=0 "$work/out.mp4" 2>/dev/null; }
frames=$(probe stream=nb_read_frames)
duration=$(probe format=duration)
echo "  output: $(stat -c %s "$work/out.mp4") bytes, $frames frames, $duration s"
check "every frame is there" [ "${frames%,}" = $((seconds * rate)) ]
check "it has its full length" [ "${duration%.*}" = "$seconds" ]

title "Test 4: the watch daemon finds FFmpeg by itself, and is killed"
"$ffrtmp" watch --scan-interval 1s --cpu-quota 150 --memory-limit 2048 2>"$work/watch.log" &
daemon=$!
started+=("$daemon")
eventually 10 grep -q Watching "$work/watch.log"
# A stream goes on until FFmpeg reads a q.
mkfifo "$work/keys"
exec 3<>"$work/keys"
ffmpeg -loglevel error -y -re -f lavfi -i "testsrc=duration=120:size=320x240:rate=$rate" \
  -c:v libx264 -preset ultrafast "$work/live.mp4" <"$work/keys" 3<&- &
workload=$!
started+=("$workload")
echo "  daemon PID $daemon (PGID $(pgid "$daemon")), FFmpeg PID $workload (PGID $(pgid "$workload")), started without ffrtmp"
check "the daemon found it" eventually 10 grep -q "Attaching to PID $workload (ffmpeg) as job auto-ffmpeg-$workload" "$work/watch.log"
limits_possible && check "its limits are applied" in_job_cgroup "$workload"
step "SIGKILL to the daemon, PID $daemon"
kill_hard "$daemon"
check "FFmpeg goes on" alive "$workload"
limits_possible && check "its limits stay" in_job_cgroup "$workload"
step "a new daemon is started"
"$ffrtmp" watch --scan-interval 1s --cpu-quota 150 --memory-limit 2048 2>>"$work/watch.log" &
daemon=$!
started+=("$daemon")
check "it takes the job over" eventually 10 grep -q "Taking over job auto-ffmpeg-$workload" "$work/watch.log"
echo q >&3
wait "$workload"
code=$?
check "the end is on record, with the true exit code $code" \
  eventually 10 grep -q "JOB auto-ffmpeg-$workload .*exit=$code " "$work/watch.log"
grep '^[^ ]* JOB' "$work/watch.log" | sed 's/^/  /'
kill_hard "$daemon"

"$ffrtmp" ps >/dev/null
if limits_possible; then
  left=$(find /sys/fs/cgroup -type d -name "$group_prefix*" 2>/dev/null)
  check "no cgroup is left (of ${group_prefix}*)" [ -n "$group_prefix" -a -z "$left" ]
fi

printf '\n%s checks, %s not true\n' "$checks" "$failures"
[ "$failures" -eq 0 ]
