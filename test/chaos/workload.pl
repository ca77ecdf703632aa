# A workload that writes its own record to the file RECORD, in lines:
#   started PID START_TICKS
#   received NAME             a signal that it did not send itself
#   ending code 42            an announcement, written right before the end
#   ending signal KILL
# arguments: RECORD LIFE_MS|until-release code|signal VALUE RELEASE_FILE CHILD_LIFE_MS|none
use strict;
my ($own_record, $life, $how, $value, $release, $child_life) = @ARGV;

sub record {
  open(my $file, '>>', $_[0]) or die "$_[0]: $!";
  syswrite($file, "$_[1]\n");
  close($file);
}

sub record_start {
  open(my $file, '<', '/proc/self/stat') or die;
  my $stat = do { local $/; <$file> };
  my @fields = split / /, substr($stat, rindex($stat, ')') + 2);
  record($_[0], "started $$ $fields[19]");
}

# Sleeps in slices, because a signal that is handled ends a sleep.
sub live {
  my ($ms) = @_;
  for (my $left = $ms; $left > 0; $left -= 20) { select(undef, undef, undef, ($left < 20 ? $left : 20) / 1000) }
}

my $own = $own_record;
for my $name (qw(HUP INT QUIT ILL ABRT TERM USR1 USR2 PIPE ALRM CONT TTIN TTOU IO XCPU WINCH)) {
  $SIG{$name} = sub { record($own, "received $name") };
}
record_start($own);
my $parent = $$;
if ($child_life ne 'none' && fork() == 0) {
  $own = "$own_record.child";
  record_start($own);
  select(undef, undef, undef, 0.01) while getppid() == $parent;
  live($child_life);
  record($own, 'ending code 0');
  exit 0;
}
if ($life eq 'until-release') { select(undef, undef, undef, 0.02) until -e $release }
else { live($life) }
if ($how eq 'signal') { $SIG{$value} = 'DEFAULT' }
record($own, "ending $how $value");
if ($how eq 'signal') { kill $value, $$ ; sleep 1 while 1 }
exit $value;
