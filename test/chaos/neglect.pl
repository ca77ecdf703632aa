# Starts a command, never waits for it, and ends when the file DONE exists.
# arguments: DONE COMMAND...
use strict;
my ($done, @command) = @ARGV;
if (fork() == 0) { exec { $command[0] } @command or die }
select(undef, undef, undef, 0.05) until -e $done;
