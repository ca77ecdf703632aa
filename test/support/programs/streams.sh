#!/usr/bin/env bash
# Runs eleven ffmpeg in real time whose stdin, stdout, stderr, progress, inputs and outputs are pipes, FIFOs, sockets,
# terminals and files. What they put out is in DIRECTORY afterwards, the same bytes with each run.
#
#   streams.sh FFMPEG DIRECTORY SECONDS TCP_PORT UNIX_SOCKET
set -u
ffmpeg=$1 directory=$2 seconds=$3 port=$4 unix=$5
cd "$directory" || exit 1

# encode RATE: an encoder's words. Each one has other content, so that no output is taken for another.
encode() {
  echo "-nostdin -re -f lavfi -i testsrc2=s=64x64:r=25:d=$seconds -threads 1 -c:v mpeg2video -b:v $1k -bitexact -f mpegts -y"
}
copy="-map 0 -c copy -bitexact -f mpegts -y"

# shellcheck disable=SC2046,SC2086 # words
{
  # A file to read, as fast as it goes.
  "$ffmpeg" -v quiet $(encode 100 | sed 's/-re //') source.ts

  # Pipes: stdin, stdout, stderr and progress.
  sleep "$seconds" | "$ffmpeg" $(encode 101) -progress pipe:3 pipe:1 2> >(cat >/dev/null) 3> >(cat >/dev/null) | cat >pipes.ts &
  # One encoder that feeds another one.
  "$ffmpeg" $(encode 102) pipe:1 2>/dev/null | "$ffmpeg" -nostdin -i pipe:0 $copy pipe:1 2>/dev/null | cat >chain.ts &
  # FIFOs as input, output and progress.
  mkfifo fifo.in fifo.out fifo.progress
  cat source.ts >fifo.in &
  cat fifo.out >fifo.ts &
  cat fifo.progress >/dev/null &
  "$ffmpeg" -nostdin -re -f mpegts -i fifo.in $copy -progress fifo.progress fifo.out 2>/dev/null &
  # A socket as stdin and stdout.
  perl -MSocket -e 'socketpair(A, B, AF_UNIX, SOCK_STREAM, 0) or die; if (!fork) { close A; open STDIN, "<&B"; open STDOUT, ">&B"; exec @ARGV } close B; print $b while sysread A, $b, 65536' \
    "$ffmpeg" $(encode 103) pipe:1 >pair.ts 2>/dev/null &
  # Connections to receivers.
  "$ffmpeg" $(encode 104) "unix:$unix" 2>/dev/null &
  "$ffmpeg" $(encode 105) "tcp://127.0.0.1:$port" 2>/dev/null &
  # Terminals.
  script -qefc "'$ffmpeg' $(encode 106) terminal.ts" /dev/null >/dev/null &
  script -qefc "'$ffmpeg' -re -i source.ts $copy terminal-copy.ts -nostdin" /dev/null >/dev/null &
  # Files: read, written, a log, a progress file and a playlist.
  "$ffmpeg" -nostdin -re -i source.ts $copy -progress progress.txt file.ts 2>file.log &
  "$ffmpeg" $(encode 107 | sed 's/-f mpegts -y//') -f hls -hls_time 2 -hls_list_size 0 list.m3u8 2>/dev/null &
  wait
}
