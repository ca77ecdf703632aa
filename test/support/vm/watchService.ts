import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { realHost } from "../../../src/linux/host.ts";
import { readStat } from "../../../src/linux/proc/stat.ts";
import { eventually, FFRTMP, until } from "../sandbox.ts";

const UNIT = "ffrtmp-watch.service";
const UNIT_FILE = resolve(import.meta.dir, "../../../packaging/systemd", UNIT);
const SHIPPED_DROP_INS = resolve(import.meta.dir, "../../../packaging/systemd-drop-ins");
const INSTALLED = "/usr/bin/ffrtmp";
const UNIT_PATH = join("/etc/systemd/system", UNIT);
const DROP_INS = `/run/systemd/system/${UNIT}.d`;
const FLAGS_FILE = "/etc/default/ffrtmp";
const POLICY_FILE = resolve(import.meta.dir, "../../../packaging/policy.yaml");
const POLICY = "/etc/ffrtmp/policy.yaml";
const STATE = "/var/lib/ffrtmp";

export interface Workload {
  unit: string;
  pid: number;
  startTicks: number;
}

/** The daemon as the package installs it, under systemd. Only for a machine that is discarded afterwards. */
export class WatchService {
  readonly #workloads: Workload[] = [];
  readonly #delegated: { user: string; unit: string }[] = [];
  readonly #beginSeconds = Math.floor(Date.now() / 1000);

  async install(flags: string): Promise<void> {
    this.replaceExecutable();
    copyFileSync(UNIT_FILE, UNIT_PATH);
    writeFileSync(FLAGS_FILE, `FFRTMP_WATCH_FLAGS="${flags}"\n`);
    await run("systemctl", "daemon-reload");
  }

  /** Replaces the executable as dpkg does: running processes keep the old file. */
  replaceExecutable(): void {
    copyFileSync(FFRTMP, `${INSTALLED}.dpkg-new`);
    renameSync(`${INSTALLED}.dpkg-new`, INSTALLED);
  }

  async remove(): Promise<void> {
    await run("systemctl", "stop", UNIT);
    for (const { unit } of this.#workloads) await tryTo("systemctl", "stop", unit);
    for (const { user, unit } of this.#delegated) {
      await tryTo(...asUser(user), "systemctl", "--user", "stop", unit);
      await tryTo("loginctl", "disable-linger", user);
      await tryTo("systemctl", "stop", "user-1000.slice");
    }
    await tryTo(INSTALLED, "ps");
    for (const path of [UNIT_PATH, DROP_INS, FLAGS_FILE, POLICY, INSTALLED, STATE])
      rmSync(path, { recursive: true, force: true });
    await run("systemctl", "daemon-reload");
  }

  /** Installs the package's own configuration: no flags, and its policy file. */
  installPolicy(): void {
    rmSync(FLAGS_FILE, { force: true });
    mkdirSync(dirname(POLICY), { recursive: true });
    copyFileSync(POLICY_FILE, POLICY);
  }

  writePolicy(text: string): void {
    mkdirSync(dirname(POLICY), { recursive: true });
    writeFileSync(POLICY, text);
  }

  async setting(name: string, value: string): Promise<void> {
    mkdirSync(DROP_INS, { recursive: true });
    writeFileSync(join(DROP_INS, `${name}.conf`), `[Service]\n${name}=${value}\n`);
    await run("systemctl", "daemon-reload");
  }

  /** Activates drop-ins that the package ships, until the service is removed. */
  async activate(...names: string[]): Promise<void> {
    mkdirSync(DROP_INS, { recursive: true });
    for (const name of names) copyFileSync(join(SHIPPED_DROP_INS, name), join(DROP_INS, name));
    await run("systemctl", "daemon-reload");
  }

  /** Undoes `activate`. */
  async deactivate(...names: string[]): Promise<void> {
    for (const name of names) rmSync(join(DROP_INS, name));
    await run("systemctl", "daemon-reload");
  }

  async systemctl(verb: string): Promise<void> {
    await run("systemctl", verb, UNIT);
  }

  async property(name: string): Promise<string> {
    return (await run("systemctl", "show", "--value", `--property=${name}`, UNIT)).trim();
  }

  async mainPid(): Promise<number> {
    return Number(await this.property("MainPID"));
  }

  /** Waits until a daemon with another pid than `before` runs, and returns its pid. */
  async anotherThan(before: number): Promise<number> {
    return eventually("the daemon is started again", async () => {
      const pid = await this.mainPid();
      const state = await this.property("ActiveState");
      return pid > 0 && pid !== before && state === "active" ? pid : undefined;
    });
  }

  journal(): Promise<string> {
    return run(
      "journalctl",
      `--unit=${UNIT}`,
      `--since=@${this.#beginSeconds}`,
      "--output=cat",
      "--no-pager",
    );
  }

  /** Runs ffrtmp with the state of the service. Returns its stdout. */
  command(...args: string[]): Promise<string> {
    return run(INSTALLED, ...args);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  async json(...args: string[]): Promise<any> {
    return JSON.parse(await run(INSTALLED, ...args, "--json"));
  }

  // biome-ignore lint/suspicious/noExplicitAny: the JSON has many shapes
  async resultOf(jobId: string): Promise<any> {
    return eventually(
      `${jobId} has a result`,
      async () => (await this.json("inspect", jobId)).result ?? undefined,
    );
  }

  /** Starts a workload of a user as a service. */
  async workload(name: string, user: string, command: string[]): Promise<Workload> {
    const unit = `ffrtmp-test-${name}.service`;
    await run("systemd-run", "--quiet", "--collect", `--unit=${unit}`, `--uid=${user}`, "--", ...command);
    const pid = Number(await run("systemctl", "show", "--value", "--property=MainPID", unit));
    const stat = readStat(realHost(), pid);
    if (stat === "gone") throw new Error(`${unit} ended at once`);
    const workload = { unit, pid, startTicks: stat.startTicks };
    this.#workloads.push(workload);
    return workload;
  }

  /**
   * Starts a workload below a user's own service manager, in cgroups delegated to the user. Returns its pid.
   */
  async delegatedWorkload(name: string, user: string, command: string[]): Promise<number> {
    const unit = `ffrtmp-test-${name}.service`;
    await run("loginctl", "enable-linger", user);
    await until("the user has a service manager", async () => {
      const uid = (await run("id", "-u", user)).trim();
      return existsSync(`/run/user/${uid}/systemd/private`);
    });
    this.#delegated.push({ user, unit });
    await run(
      ...asUser(user),
      "systemd-run",
      "--user",
      "--quiet",
      "--collect",
      `--unit=${unit}`,
      "--",
      ...command,
    );
    const show = ["systemctl", "--user", "show", "--value", "--property=MainPID", unit];
    return Number(await run(...asUser(user), ...show));
  }
}

/** Prefix of a command that a user runs with access to the user's own service manager. */
function asUser(user: string): string[] {
  return ["runuser", "-u", user, "--", "sh", "-c", 'XDG_RUNTIME_DIR=/run/user/$(id -u) exec "$@"', "sh"];
}

async function run(...cmd: string[]): Promise<string> {
  const child = Bun.spawn(cmd, { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if ((await child.exited) !== 0)
    throw new Error(`${cmd.join(" ")}: exit ${child.exitCode}: ${stderr}${stdout}`);
  return stdout;
}

async function tryTo(...cmd: string[]): Promise<void> {
  await run(...cmd).catch(() => {});
}

export function statusField(pid: number, name: string): string {
  return new RegExp(`^${name}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
}
