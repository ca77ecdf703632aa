#!/usr/bin/perl
# Locks a whole file until it is killed: lockFile.pl (read|write|flock) FILE. Prints "locked", or why not.
use strict;
use warnings;
use Fcntl qw(:flock F_SETLK F_RDLCK F_WRLCK SEEK_SET O_RDONLY O_RDWR O_NONBLOCK);

$| = 1;
my ($kind, $path) = @ARGV;
my $mode = $kind eq "write" ? O_RDWR : O_RDONLY;
sysopen(my $file, $path, $mode | O_NONBLOCK) or print("refused: $!\n"), exit 1;
if ($kind eq "flock") {
  flock($file, LOCK_EX | LOCK_NB) or print("refused: $!\n"), exit 1;
} else {
  # struct flock of x86-64 and arm64: short l_type, short l_whence, off_t l_start, off_t l_len, pid_t l_pid
  my $lock = pack("s s x4 q q i x4", $kind eq "write" ? F_WRLCK : F_RDLCK, SEEK_SET, 0, 0, 0);
  fcntl($file, F_SETLK, $lock) or print("refused: $!\n"), exit 1;
}
print "locked\n";
sleep 600;
