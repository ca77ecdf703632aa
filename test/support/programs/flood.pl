# Causes process events as fast as it can, as user 65534, until it is killed, for two minutes at most:
# flood.pl renames|execs|forks
use strict;
use warnings;

my ($kind) = @ARGV;
$) = '65534 65534';
$( = 65534;
$> = $< = 65534 if $< == 0;
$SIG{ALRM} = 'DEFAULT';
alarm 120;
my $count = 0;
while (1) {
  if ($kind eq 'renames') { $0 = 'x' . $count++; next }
  my $pid = fork() // next;
  if ($pid == 0) {
    exec '/bin/true' if $kind eq 'execs';
    require POSIX;
    POSIX::_exit(3);
  }
  waitpid $pid, 0;
}
