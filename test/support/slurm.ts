import { existsSync, globSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { dirname, join } from "node:path";
import { readHierarchies } from "../../src/linux/cgroup/hierarchies.ts";
import { realHost } from "../../src/linux/host.ts";
import { freePort } from "./ports.ts";
import { eventually, lacksRoot, type Sandbox, until } from "./sandbox.ts";

/** scripts/setup.sh unpacks Debian's packages there. Installing them would start services. */
const TREE = join(homedir(), ".cache/ffrtmp/slurm");
const [LIBRARIES = ""] = globSync(`${TREE}/usr/lib/*/slurm-wlm`);
const ENVIRONMENT = { LD_LIBRARY_PATH: `${dirname(LIBRARIES)}:${LIBRARIES}` };

export function lacksSlurm(): string | undefined {
  const slurmd = join(TREE, "usr/sbin/slurmd-wlm");
  if (!existsSync(slurmd)) return "needs Slurm";
  const { success, stderr } = Bun.spawnSync([slurmd, "-V"], { env: ENVIRONMENT });
  return success ? lacksRoot() : `needs a Slurm that starts: ${stderr}`;
}

/** Why Slurm makes no cgroups here that it tracks processes by; `undefined` when it does. */
export function lacksSlurmCgroups(): string | undefined {
  return lacksSlurm() ?? (findFreezer() === undefined ? "needs the freezer of cgroup v1" : undefined);
}

/** How Slurm knows the processes of a job: slurm.conf(5), ProctrackType. */
type Tracking = "cgroup" | "linuxproc" | "pgid";

/** Returns the directory of the freezer hierarchy, which Slurm tracks processes by on cgroup v1. */
function findFreezer(): string | undefined {
  const freezer = readHierarchies(realHost()).find(({ controllers }) => controllers.includes("freezer"));
  return freezer?.version === 1 && freezer.mountRoot === "/" && freezer.mountPoint.endsWith("/freezer")
    ? freezer.mountPoint
    : undefined;
}

/**
 * A Slurm of one node: controller and node daemon on the loopback device, all files in the sandbox, and on cgroup v1 one directory
 * in the freezer hierarchy, named by the node. It has no munge: auth/none trusts every client.
 */
export class Slurm implements AsyncDisposable {
  readonly tracking: Tracking;
  readonly #sandbox: Sandbox;
  readonly #conf: string;
  readonly #cgroup: string | undefined;
  readonly #daemons: Bun.Subprocess[] = [];

  private constructor(sandbox: Sandbox, tracking: Tracking, directory: string, cgroup: string | undefined) {
    this.#sandbox = sandbox;
    this.tracking = tracking;
    this.#conf = join(directory, "slurm.conf");
    this.#cgroup = cgroup;
  }

  /** Starts it, by default with the tracking by cgroups where this machine can have it. */
  static async start(sandbox: Sandbox, wanted?: Tracking): Promise<Slurm> {
    const freezer = findFreezer();
    const tracking = wanted ?? (freezer ? "cgroup" : "linuxproc");
    const directory = sandbox.path("slurm");
    const node = `ffrtmp${sandbox.tag}`;
    mkdirSync(join(directory, "state"), { recursive: true });
    mkdirSync(join(directory, "spool"));
    const port = freePort();
    // Slurm may look at a new job in its next round only, which is 30 s later by default.
    writeFileSync(
      join(directory, "slurm.conf"),
      `ClusterName=ffrtmp
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${freePort()}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
MpiDefault=none
PluginDir=${LIBRARIES}
StateSaveLocation=${directory}/state
SlurmdSpoolDir=${directory}/spool
SlurmctldPidFile=${directory}/slurmctld.pid
SlurmdPidFile=${directory}/slurmd.pid
ProctrackType=proctrack/${tracking}
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
NodeName=${node} NodeHostname=${hostname()} NodeAddr=127.0.0.1 Port=${port} CPUs=1
PartitionName=all Nodes=${node} Default=YES OverSubscribe=FORCE:4
`,
    );
    const isByCgroup = tracking === "cgroup" && freezer !== undefined;
    if (isByCgroup)
      writeFileSync(
        join(directory, "cgroup.conf"),
        `CgroupPlugin=cgroup/v1\nCgroupAutomount=no\nCgroupMountpoint=${dirname(freezer)}\n`,
      );
    const cgroup = isByCgroup ? join(freezer, `slurm_${node}`) : undefined;
    const slurm = new Slurm(sandbox, tracking, directory, cgroup);
    slurm.#daemon("slurmctld", []);
    slurm.#daemon("slurmd", ["-N", node, "-d", join(TREE, "usr/sbin/slurmstepd-wlm")]);
    const isIdle = async () => /^idle/.test(await slurm.#ask("sinfo", "-h", "-o", "%t"));
    await until("the node of Slurm is idle", isIdle).catch(async (error) => {
      await slurm.#stopDaemons();
      throw error;
    });
    return slurm;
  }

  #daemon(name: string, options: string[]): void {
    const program = join(TREE, `usr/sbin/${name}-wlm`);
    const env = { ...ENVIRONMENT, SLURM_CONF: this.#conf };
    const quiet = { env, stdout: "ignore", stderr: "ignore" } as const;
    this.#daemons.push(this.#sandbox.spawn([program, "-D", "-f", this.#conf, ...options], quiet));
  }

  /** Starts a command of Slurm, such as `srun`. */
  start(name: string, ...words: string[]): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const env = { ...ENVIRONMENT, SLURM_CONF: this.#conf };
    return this.#sandbox.spawn([join(TREE, "usr/bin", name), ...words], { env }) as Bun.Subprocess<
      "ignore",
      "pipe",
      "pipe"
    >;
  }

  async #ask(name: string, ...words: string[]): Promise<string> {
    const child = this.start(name, ...words);
    const [text] = await Promise.all([new Response(child.stdout).text(), child.exited]);
    return text;
  }

  /** Submits a script of one line, and returns the id of its job. */
  async submit(script: string): Promise<string> {
    const output = ["-o", this.#sandbox.path("slurm/output")];
    return (await this.#ask("sbatch", "--parsable", "--no-requeue", ...output, "--wrap", script)).trim();
  }

  async cancel(job: string): Promise<void> {
    await this.#ask("scancel", job);
  }

  /** Waits for the end of a job, and returns its state and exit code: `CANCELLED 0:15`. */
  async endOf(job: string): Promise<string> {
    return eventually(`Slurm job ${job} has ended`, async () => {
      const text = await this.#ask("scontrol", "show", "job", job);
      const [, state = ""] = /JobState=(\w+)/.exec(text) ?? [];
      const [, code = ""] = / ExitCode=(\S+)/.exec(text) ?? [];
      return ["PENDING", "RUNNING", "COMPLETING", ""].includes(state) ? undefined : `${state} ${code}`;
    });
  }

  /** Ends all jobs, so that no process of one is left when the sandbox ends the daemons. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask("scancel", "--full", "--signal=KILL", "--me");
    await this.#ask("scancel", "--me");
    await until("no job of Slurm is left", async () => (await this.#ask("squeue", "-h")) === "");
    await this.#stopDaemons();
  }

  async #stopDaemons(): Promise<void> {
    for (const daemon of this.#daemons) daemon.kill("SIGTERM");
    await Promise.all(this.#daemons.map(({ exited }) => exited));
    const cgroup = this.#cgroup;
    if (cgroup !== undefined) await until(`${cgroup} can be removed`, () => removeTree(cgroup));
  }
}

/** Removes a cgroup with those below it, which Slurm removes after the end of its jobs. False while there is a process. */
function removeTree(cgroup: string): boolean {
  try {
    for (const entry of readdirSync(cgroup, { withFileTypes: true }))
      if (entry.isDirectory()) removeTree(join(cgroup, entry.name));
    rmdirSync(cgroup);
  } catch {
    // Slurm may have removed it meanwhile.
  }
  return !existsSync(cgroup);
}
