import { expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { isStopped, lacksRoot, testIf, until, useSandbox } from "../support/sandbox.ts";
import { startDaemon } from "../support/watchDaemon.ts";

const sandbox = useSandbox();
const rootTest = testIf(lacksRoot());

async function health(args: string[] = [], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await sandbox().run(["health", ...args], { env });
  return { code, stdout, stderr };
}

test("health is one line with the exit codes of monitoring plugins", async () => {
  expect(await health()).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/^unhealthy: no ffrtmp watch has used .*\n$/),
  });
  const daemon = await startDaemon(sandbox(), ["--target", "none-such", "--events", "polling"]);
  const healthy = /^healthy: ffrtmp watch \(PID \d+\) has run for .* and observes 0 jobs; events: polling\n$/;
  expect(await health()).toMatchObject({ code: 0, stdout: expect.stringMatching(healthy) });
  expect(JSON.parse((await health(["--json"])).stdout)).toMatchObject({
    health: "healthy",
    problems: [],
    daemon: { pid: daemon.process.pid, answers: true, jobs: 0 },
  });
  daemon.process.kill("SIGTERM");
  await daemon.process.exited;
  expect(await health()).toMatchObject({
    code: 2,
    stdout: expect.stringMatching(/^unhealthy: ffrtmp watch was stopped at /),
  });
});

test("health of a wrong command line or an unreadable ledger is unknown", async () => {
  expect((await health(["--bogus"])).code).toBe(3);
  mkdirSync(`${sandbox().state}/ledger.db`, { recursive: true });
  const { code, stdout } = await health();
  expect({ code, stdout }).toEqual({ code: 3, stdout: expect.stringMatching(/^unknown: /) });
});

test("a policy file that is not valid makes a daemon degraded", async () => {
  const box = sandbox();
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [none-${box.tag}]\n`);
  const daemon = await startDaemon(box, ["--watch-config", policy, "--events", "polling"]);
  expect((await health()).code).toBe(0);
  writeFileSync(policy, "target_commands: 7\n");
  await until("the policy is rejected", () => daemon.log().includes("POLICY REJECTED"));
  expect(await health()).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^degraded: the policy file is not valid/),
  });
  const { problems } = JSON.parse((await health(["--json"])).stdout);
  expect(problems).toMatchObject([{ severity: "warning", kind: "policy-not-valid" }]);
});

test("ps --daemon asks the living daemon, and says when that does not answer", async () => {
  const daemon = await startDaemon(sandbox());
  const fresh = await sandbox().run(["ps", "--daemon"]);
  expect(fresh.stdout).toMatch(/^counted +now$/m);
  expect(fresh.stderr).toBe("");
  daemon.process.kill("SIGSTOP");
  await until("every thread of the daemon is stopped", () => isStopped(daemon.process.pid));
  const stale = await sandbox().run(["ps", "--daemon"]);
  expect(stale.stderr).toContain("the daemon does not answer: this is what it recorded last");
  expect(stale.stdout).toMatch(/^counted +.* ago$/m);
  expect(await health()).toMatchObject({ code: 2, stdout: "unhealthy: the daemon does not answer\n" });
  daemon.process.kill("SIGCONT");
  await until("it answers again", async () => (await health()).code === 0);
  daemon.process.kill("SIGKILL");
  await daemon.process.exited;
  expect(await health()).toMatchObject({
    code: 2,
    stdout: "unhealthy: ffrtmp watch was killed or crashed\n",
  });
  // The socket of the dead daemon is replaced.
  await startDaemon(sandbox());
  expect((await health()).code).toBe(0);
});

test("only its user reaches the socket, and a stop removes it", async () => {
  const daemon = await startDaemon(sandbox());
  const socket = `${sandbox().state}/watch.sock`;
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  daemon.process.kill("SIGTERM");
  expect(await daemon.process.exited).toBe(0);
  expect(existsSync(socket)).toBe(false);
});

rootTest("the daemon answers no other user, whatever the mode of its socket", async () => {
  const box = sandbox();
  await startDaemon(box);
  const script = `
    use IO::Socket::UNIX;
    $SIG{PIPE} = "IGNORE";
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "cannot connect: $!";
    print "connected: ";
    print $socket qq({"request":"status"}\\n);
    my $answer = <$socket>;
    print defined $answer ? $answer : "no answer";`;
  const ask = async (user: string[]) => {
    const child = box.spawn([...user, "perl", "-e", script, `${box.state}/watch.sock`], { stderr: "ignore" });
    return new Response(child.stdout as ReadableStream).text();
  };
  expect(await ask([])).toContain('"ok":true');
  for (const path of [box.directory, box.state]) Bun.spawnSync(["chmod", "755", path]);
  Bun.spawnSync(["chmod", "666", `${box.state}/watch.sock`]);
  expect(await ask(["setpriv", "--reuid", "65534", "--clear-groups"])).toBe("connected: no answer");
});

test("clients that send nothing, too much or nonsense do not keep the daemon from answering", async () => {
  const box = sandbox();
  const daemon = await startDaemon(box);
  const clients = Array.from({ length: 40 }, (_, index) =>
    Bun.connect({
      unix: `${box.state}/watch.sock`,
      socket: {
        open: (socket) => {
          if (index % 3 === 1) socket.write("x".repeat(100_000));
          if (index % 3 === 2) socket.write('{"request":"none"}\n');
        },
        data() {},
        error() {},
      },
    }).catch(() => undefined),
  );
  const sockets = await Promise.all(clients);
  // Silent clients are dropped after some seconds, which makes room for others.
  await until("the daemon answers", async () => (await health()).code === 0);
  for (const socket of sockets) socket?.terminate();
  expect(daemon.process.exitCode).toBeNull();
});

test("a state directory whose path is too long for a socket address works too", async () => {
  const box = sandbox();
  const long = box.path("d".repeat(120));
  const env = { FFRTMP_STATE: long };
  box.start(["watch", "--target", "none-such", "--events", "polling"], { env, stderr: "ignore" });
  await until("it answers", async () => (await health([], env)).code === 0);
});
