import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { eventually, FFRTMP, type Sandbox } from "./sandbox.ts";

/** scripts/setup.sh takes it out of Debian's package, which would also start a server. */
const CACHED = join(homedir(), ".cache/ffrtmp/sshd");
const LIBRARIES = join(homedir(), ".cache/ffrtmp");
const SSHD = ["/usr/sbin/sshd", CACHED].find((path) => existsSync(path));
const SSH = Bun.which("ssh");

/** Returns why there is no connection over ssh to test with, or `undefined`. */
export function lacksSshServer(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root: the server of the test has users of its own";
  if (SSH === null || Bun.which("ssh-keygen") === null) return "needs ssh: apt-get install openssh-client";
  if (SSHD === undefined) return "needs sshd: scripts/setup.sh has a function that fetches it";
  const { exitCode, stderr } = Bun.spawnSync([SSHD, "-V"], { env: environment() });
  // It has no option for its version, but says it with the usage.
  return /OpenSSH_/.test(stderr.toString())
    ? undefined
    : `sshd does not run here: exit ${exitCode}: ${stderr}`;
}

/**
 * An OpenSSH server on the loopback device with its own keys, users and configuration, and the real ssh with its own too. Each
 * name of a machine is this one with a state directory of its own, `machines/NAME` of the sandbox; `silent` has an ffrtmp that
 * never answers, and `stranger` is one whose key the client does not know.
 */
export class SshServer {
  readonly #sandbox: Sandbox;
  readonly #port = freePort();
  /** The environment for ffrtmp. */
  readonly environment: Record<string, string>;

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.environment = { PATH: `${this.#path("bin")}:${process.env["PATH"]}` };
  }

  static async start(sandbox: Sandbox): Promise<SshServer> {
    const server = new SshServer(sandbox);
    server.#writeFiles();
    await server.#listen();
    return server;
  }

  async #listen(): Promise<void> {
    // With users of its own: installing sshd would create the one that it changes to.
    const script = `for file in passwd shadow; do mount --bind "$1/$file" /etc/$file; done; mount -t tmpfs -o mode=755 none /run; mkdir /run/sshd; shift; exec "$@"`;
    const words = [SSHD as string, "-D", "-e", "-f", this.#path("sshd_config")];
    const child = this.#sandbox.spawn(
      ["unshare", "--mount", "sh", "-ec", script, "sh", this.#path(""), ...words],
      { stdout: "ignore", stderr: "pipe", env: environment() },
    );
    const reader = (child.stderr as ReadableStream<Uint8Array>).getReader();
    let said = "";
    await eventually("sshd listens", async () => {
      const { value, done } = await reader.read();
      said += new TextDecoder().decode(value);
      if (done) throw new Error(`sshd has ended: ${said}`);
      return said.includes("Server listening") || undefined;
    });
    // What it says later must not fill the pipe.
    void (async () => {
      while (!(await reader.read()).done);
    })().catch(() => {});
  }

  #writeFiles(): void {
    for (const name of ["", "bin", "remote"]) mkdirSync(this.#path(name), { recursive: true, mode: 0o700 });
    for (const key of ["host", "user"])
      mustRun("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.#path(`${key}_key`));
    const hostKey = readFileSync(this.#path("host_key.pub"), "utf8");
    const write = (name: string, text: string, mode = 0o600) =>
      writeFileSync(this.#path(name), text, { mode });
    write(
      "passwd",
      "root:x:0:0:root:/root:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n",
      0o644,
    );
    // An account whose password begins with "!" is locked, for keys too.
    write("shadow", "root:*:20000:0:99999:7:::\nsshd:*:20000:0:99999:7:::\n");
    write("authorized_keys", readFileSync(this.#path("user_key.pub"), "utf8"));
    write("known_hosts", `[127.0.0.1]:${this.#port} ${hostKey}`);
    write("no_hosts", "");
    write(
      "sshd_config",
      `Port ${this.#port}
ListenAddress 127.0.0.1
HostKey ${this.#path("host_key")}
AuthorizedKeysFile ${this.#path("authorized_keys")}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
AcceptEnv FFRTMP_STATE
SetEnv PATH=${this.#path("remote")}:/usr/bin:/bin
`,
    );
    const machines = this.#sandbox.path("machines");
    write(
      "ssh_config",
      `Match originalhost stranger
  UserKnownHostsFile ${this.#path("no_hosts")}
Host *
  HostName 127.0.0.1
  Port ${this.#port}
  User root
  IdentityFile ${this.#path("user_key")}
  IdentitiesOnly yes
  UserKnownHostsFile ${this.#path("known_hosts")}
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
`,
    );
    // The name of the machine becomes its state directory, as nothing else is there to tell them apart.
    const ssh = `#!/bin/sh
for word; do if [ "$previous" = -- ]; then host=$word; fi; previous=$word; done
exec ${SSH} -F ${this.#path("ssh_config")} -o "SetEnv=FFRTMP_STATE=${machines}/$host" "$@"
`;
    write("bin/ssh", ssh);
    write(
      "remote/ffrtmp",
      `#!/bin/sh
case $FFRTMP_STATE in */silent) exec sleep 1000 ;; esac
exec ${FFRTMP} "$@"
`,
    );
    for (const name of ["bin/ssh", "remote/ffrtmp"]) chmodSync(this.#path(name), 0o755);
  }

  #path(name: string): string {
    return join(this.#sandbox.path("ssh"), name);
  }
}

/** Its library of access lists is not on machines without a server. */
function environment(): Record<string, string> {
  return { ...(process.env as Record<string, string>), LD_LIBRARY_PATH: LIBRARIES };
}

function mustRun(...cmd: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(cmd);
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: ${stderr}`);
}
