# A workload that keeps its own record, one line each, in the file TRUTH:
#   begun PID START_TICKS
#   signalled NAME            a signal came that it did not send itself
#   ending code 42            last words, written right before it does so
#   ending signal KILL
# arguments: TRUTH LIFE_MS|released code|signal VALUE RELEASE_FILE CHILD_LIFE_MS|none
use strict;
my ($truth, $life, $how, $value, $release, $child_life) = @ARGV;

sub say_so {
  open(my $file, '>>', $_[0]) or die "$_[0]: $!";
  syswrite($file, "$_[1]\n");
  close($file);
}

sub begun {
  open(my $file, '<', '/proc/self/stat') or die;
  my $stat = do { local $/; <$file> };
  my @fields = split / /, substr($stat, rindex($stat, ')') + 2);
  say_so($_[0], "begun $$ $fields[19]");
}

# Slices, because a signal that is caught cuts one short.
sub live {
  my ($ms) = @_;
  for (my $left = $ms; $left > 0; $left -= 20) { select(undef, undef, undef, ($left < 20 ? $left : 20) / 1000) }
}

my $own = $truth;
for my $name (qw(HUP INT QUIT ILL ABRT TERM USR1 USR2 PIPE ALRM CONT TTIN TTOU IO XCPU WINCH)) {
  $SIG{$name} = sub { say_so($own, "signalled $name") };
}
begun($own);
my $parent = $$;
if ($child_life ne 'none' && fork() == 0) {
  $own = "$truth.child";
  begun($own);
  select(undef, undef, undef, 0.01) while getppid() == $parent;
  live($child_life);
  say_so($own, 'ending code 0');
  exit 0;
}
if ($life eq 'released') { select(undef, undef, undef, 0.02) until -e $release }
else { live($life) }
if ($how eq 'signal') { $SIG{$value} = 'DEFAULT' }
say_so($own, "ending $how $value");
if ($how eq 'signal') { kill $value, $$ ; sleep 1 while 1 }
exit $value;
