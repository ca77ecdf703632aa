# Mounts a FUSE file system whose only file is a copy of ARGV[1] at the directory ARGV[0], in a mount namespace of its own,
# and starts a child that runs as uid 65534:
#
#   lock DIR FILE           the child, with the name of the file, stays in mmap(2) and keeps its own mmap lock for writing
#   exec DIR FILE ARG...    the child executes the file, and the file system answers nothing after a line on stdin
#
# Prints the PID of the child when it is there. The child of `lock` cannot be killed before the end of this process, which
# closes the file system: with its alarm at the latest.
use strict;
use warnings;
use Fcntl;
use POSIX ();

my ($mode, $directory, $file, @arguments) = @ARGV;
my $is_arm = (POSIX::uname())[4] eq "aarch64";
my ($SYS_mmap, $SYS_mount, $SYS_unshare) = $is_arm ? (222, 40, 97) : (9, 165, 272);
my ($CLONE_NEWNS, $MS_REC, $MS_PRIVATE) = (0x20000, 0x4000, 0x40000);
my ($PROT_READ, $MAP_PRIVATE) = (1, 2);
my ($FOPEN_DIRECT_IO, $FOPEN_KEEP_CACHE) = (1, 2);
my $NOBODY = 65534;

alarm 75;
$| = 1;
my $size = -s $file;
open my $content, "<:raw", $file or die "$file: $!";
open my $device, "+<:raw", "/dev/fuse" or die "/dev/fuse: $!";
call($SYS_unshare, $CLONE_NEWNS);
call($SYS_mount, "none", "/", 0, $MS_REC | $MS_PRIVATE, 0);
my $options = "fd=" . fileno($device) . ",rootmode=40000,user_id=0,group_id=0,allow_other";
call($SYS_mount, "stall", $directory, "fuse", 0, $options);

my $child = fork // die "fork: $!";
if ($child == 0) {
    close $device;
    POSIX::setgid($NOBODY);
    POSIX::setuid($NOBODY);
    my ($name) = $file =~ m{([^/]+)$};
    exec { "$directory/$name" } "$directory/$name", @arguments if $mode eq "exec";
    $0 = $name;
    # A second process waits for a page of the file, and so keeps the page locked.
    my $reader = fork // die "fork: $!";
    if ($reader == 0) {
        sysopen my $slow, "$directory/file", O_RDONLY or die "open: $!";
        sysread($slow, my $byte, 1);
        exit 0;
    }
    select undef, undef, undef, 0.3;
    sysopen my $direct, "$directory/file", O_RDONLY or die "open: $!";
    # Opened for direct I/O, so mmap drops the pages of the file, and waits for the locked one under the mmap lock.
    syscall($SYS_mmap, 0, 4096, $PROT_READ, $MAP_PRIVATE, fileno($direct), 0);
    exit 0;
}
$SIG{CHLD} = "IGNORE";
fcntl STDIN, F_SETFL, O_NONBLOCK;
print "$child\n";

my $opens = 0;
my $is_stuck = 0;
while (1) {
    my $vector = "";
    vec($vector, fileno($device), 1) = 1;
    vec($vector, fileno(STDIN), 1) = 1 if $mode eq "exec" && !$is_stuck;
    select $vector, undef, undef, undef;
    if ($mode eq "exec" && !$is_stuck && vec($vector, fileno(STDIN), 1)) {
        sysread(STDIN, my $line, 100);
        $is_stuck = 1;
        print "stuck\n";
    }
    next unless vec($vector, fileno($device), 1);
    sysread($device, my $request, 1 << 20) or next;
    next if $is_stuck;
    my ($length, $opcode, $unique, $node) = unpack "LLQQ", $request;
    if ($opcode == 26) { reply($unique, pack "LLLLSSLLSSL7", 7, 31, 65536, 0, 0, 0, 4096, 0, 0, 0, (0) x 7) }    # INIT
    elsif ($opcode == 1) { reply($unique, pack("QQQQLL", 2, 0, 3600, 0, 0, 0) . attributes(2)) }    # LOOKUP
    elsif ($opcode == 3) { reply($unique, pack("QLL", 0, 0, 0) . attributes($node)) }    # GETATTR
    elsif ($opcode == 14) {    # OPEN: in mode lock, the second one is for direct I/O
        my $flags = $mode eq "lock" && $opens++ > 0 ? $FOPEN_DIRECT_IO : 0;
        reply($unique, pack "QLL", 1, $flags | $FOPEN_KEEP_CACHE, 0);
    }
    elsif ($opcode == 15) {    # READ
        next if $mode eq "lock";
        my ($handle, $offset, $bytes) = unpack "QQL", substr $request, 40;
        seek $content, $offset, 0;
        read($content, my $data, $bytes);
        reply($unique, $data);
    }
    elsif ($opcode == 18 || $opcode == 25) { reply($unique, "") }    # RELEASE, FLUSH
    elsif ($opcode == 2 || $opcode == 36 || $opcode == 42) { }    # FORGET, INTERRUPT, BATCH_FORGET
    else { reply($unique, "", 38) }    # ENOSYS
}

sub reply {
    my ($unique, $data, $errno) = @_;
    syswrite $device, pack("LlQ", 16 + length $data, -($errno // 0), $unique) . $data;
}

# struct fuse_attr: ino, size, blocks, three times, their ns, mode, nlink, uid, gid, rdev, blksize, flags
sub attributes {
    my ($node) = @_;
    my $mode = $node == 1 ? 040755 : 0100755;
    return pack "Q6L10", $node, $node == 1 ? 0 : $size, 0, 0, 0, 0, 0, 0, 0, $mode, 1, 0, 0, 0, 4096, 0;
}

sub call {
    my ($number, @words) = @_;
    die "system call $number: $!" if syscall($number, @words) < 0;
}
