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
