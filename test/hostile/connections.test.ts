import { expect } from "bun:test";
import { openSync, readFileSync } from "node:fs";
import { freePort } from "../support/ports.ts";
import { FFRTMP, lacksCommand, lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { asStranger } from "../support/strangers.ts";

const sandbox = useSandbox();
const hostileTest = testIf(lacksLimits() ?? lacksCommand("setpriv") ?? lacksCommand("perl"));

/** Keeps connections that ask for nothing to a port ($ARGV[0]), as many ($ARGV[1]) as it can, and makes those again that end. */
const CONNECTOR = String.raw`
use IO::Socket::INET; use IO::Select;
my ($port, $most) = @ARGV;
my $open = IO::Select->new;
$| = 1;
while (1) {
  for (my $i = 0; $open->count < $most && $i < $most; $i++) {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $port, Timeout => 1) or last;
    $open->add($socket);
  }
  print "connected\n";
  for my $ended ($open->can_read(0.1)) { $open->remove($ended); close $ended; print "ended\n"; }
}`;

hostileTest("connections of another user take no descriptor that governing needs", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const [port, log, seen] = [freePort(), box.path("watch.log"), box.path("seen.log")];
  const words = ["watch", "--target", name, "--listen", `127.0.0.1:${port}`];
  box.spawn(["sh", "-c", `ulimit -n 250; exec "$0" "$@"`, FFRTMP, ...words], {
    stdout: "ignore",
    stderr: openSync(log, "a"),
  });
  await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
  box.spawn(asStranger(["perl", "-e", CONNECTOR, String(port), "300"]), { stdout: openSync(seen, "a") });
  await until("it has ended some", () => readFileSync(seen, "utf8").includes("ended"));
  const { pid } = box.spawn([path, "600"]);
  await until("the process is governed", () =>
    readFileSync(`/proc/${pid}/cgroup`, "utf8").includes("/ffrtmp-"),
  );
  expect(readFileSync(log, "utf8")).toContain("Too many connections to the address of --listen");
});

/** Asks for a page that does not exist, without a pause. */
const ASKER = String.raw`
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $ARGV[0]) or die;
my $requests = "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" x 20;
while (syswrite $socket, $requests) {
  my $text = "";
  while ((() = $text =~ /HTTP.1.1 404/g) < 20) { sysread($socket, my $part, 65536) or last; $text .= $part }
}`;

const SCHED_RR = 2;

hostileTest("requests without a pause do not run ahead of all ordinary programs", async () => {
  const box = sandbox();
  const [port, log] = [freePort(), box.path("watch.log")];
  const words = ["watch", "--target", box.program("sleep").name, "--listen", `127.0.0.1:${port}`];
  const daemon = box.start(words, { stdout: "ignore", stderr: openSync(log, "a") });
  await until("the daemon watches", () => readFileSync(log, "utf8").includes("Watching for"));
  if (!readFileSync(log, "utf8").includes("No real-time scheduling"))
    await until("it is real-time", () => policyOf(daemon.pid) === SCHED_RR);
  box.spawn(asStranger(["perl", "-e", ASKER, String(port)]), { stdout: "ignore", stderr: "ignore" });
  // Its long work is ordinary too, for some ms.
  await until("it is ordinary, and stays so", async () => {
    for (let count = 0; count < 30; count++) {
      if (policyOf(daemon.pid) === SCHED_RR) return false;
      await Bun.sleep(20);
    }
    return true;
  });
});

/** Returns the scheduling policy of the main thread: proc_pid_stat(5). */
function policyOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[38]);
}
