import { afterAll, expect, setDefaultTimeout } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  cpSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { lacksNatsServer, NATS_SERVER } from "../support/fleet/natsProgram.ts";
import { eventually, isRunning, testIf, until } from "../support/sandbox.ts";
import { lacksVm } from "../support/vm/insideVm.ts";
import { statusField } from "../support/vm/watchService.ts";

// The commands of README.md on a machine with systemd, and the hub as the service that docs/fleet.md shows.

setDefaultTimeout(600_000);

const lacks = lacksVm() ?? lacksNatsServer();
const fleetTest = testIf(lacks);
const REPOSITORY = resolve(import.meta.dir, "../..");
const OPERATOR = "/root/.config/ffrtmp/fleet";
const HUB = "/var/lib/ffrtmp-hub";
const HUB_UNIT = "/etc/systemd/system/ffrtmp-hub.service";
const SERVER = "/usr/local/bin/nats-server";
const SSH = "/usr/local/bin/ssh";
const AGENT = "ffrtmp-fleet-agent";
/** Of 10; `systemd-analyze security` calls up to 2 "OK". */
const MOST_EXPOSURE = 2;
let hub: Bun.Subprocess | undefined;

// These tests depend on their order.
if (lacks === undefined) {
  afterAll(() => {
    hub?.kill();
    for (const unit of [AGENT, "ffrtmp-hub"]) Bun.spawnSync(["systemctl", "disable", "--now", unit]);
    Bun.spawnSync(["dpkg", "--no-triggers", "--purge", "ffrtmp"]);
    for (const user of ["userdel nats", "groupdel ffrtmp"]) Bun.spawnSync(user.split(" "));
    const hosts = readFileSync("/etc/hosts", "utf8");
    writeFileSync("/etc/hosts", hosts.replace("127.0.0.1 hub.example.net\n", ""));
    for (const path of [OPERATOR, HUB, HUB_UNIT, SERVER, SSH, "/etc/ffrtmp", "/var/lib/ffrtmp-fleet"])
      rmSync(path, { recursive: true, force: true });
    Bun.spawnSync(["systemctl", "daemon-reload"]);
  });
}

fleetTest("the two commands of README.md make a node, whose agent starts inside its sandbox", async () => {
  run("dpkg", "--no-triggers", "--install", join(REPOSITORY, "dist/vm/1.deb"));
  copyFileSync(NATS_SERVER, SERVER);
  chmodSync(SERVER, 0o755);
  // This machine is the hub and the node.
  appendFileSync("/etc/hosts", "127.0.0.1 hub.example.net\n");
  writeFileSync(SSH, '#!/bin/sh\nshift\nexec sh -c "$*"\n', { mode: 0o755 });
  const [first, second] = documentedCommands();
  hub = Bun.spawn(["sh", "-c", first], { stdio: ["ignore", "pipe", "inherit"] });
  await until("the hub is there", () => Bun.spawnSync(["ffrtmp", "fleet", "ps"]).exitCode === 0);
  run("sh", "-c", second);
  const pid = await connectedAgent(0);
  expect(statusField(pid, "NoNewPrivs")).toBe("1");
  expect(statusField(pid, "Seccomp")).toBe("2");
  expect(BigInt(`0x${statusField(pid, "CapEff")}`)).toBe(0n);
  expect(Number(statusField(pid, "Uid").split("\t")[0])).toBeGreaterThan(0);
  expect(property("MemoryMax")).toBe(String(64 * 1024 * 1024));
});

fleetTest("the result of a job arrives, with an exit code and no command", async () => {
  run("sh", "-c", "ffrtmp run --job-id first --sla-eligible -- sh -c 'exit 3' || true");
  const first = await result("first");
  expect(first).toMatchObject({ node: "edge-1", job_id: "first", exit_code: 3 });
  expect(first).not.toHaveProperty("command");
  await until("ps shows that nothing is wrong", () => /^edge-1 +up /m.test(ffrtmp("fleet", "ps")));
});

fleetTest("a killed agent is started again and sends what waited; the job runs on", async () => {
  const before = Number(property("MainPID"));
  const workload = Bun.spawn(["ffrtmp", "run", "--job-id", "long", "--", "sleep", "1000"]);
  const { pid } = await eventually("the job runs", () => {
    const rows: { job_id: string; pid: number | null; state: string }[] = JSON.parse(ffrtmp("ps", "--json"));
    const row = rows.find(({ job_id, state }) => job_id === "long" && state === "running");
    return row?.pid ? { pid: row.pid } : undefined;
  });
  process.kill(before, "SIGKILL");
  run("ffrtmp", "run", "--job-id", "while-down", "--", "true");
  await connectedAgent(before);
  expect(await result("while-down")).toMatchObject({ exit_code: 0 });
  expect(isRunning(pid)).toBe(true);
  process.kill(pid, "SIGKILL");
  await workload.exited;
  expect(await result("long")).toMatchObject({ signal: "SIGKILL" });
});

fleetTest("the hub moves into the documented service, and keeps what it has", async () => {
  const before = Number(property("MainPID"));
  // The shell of the first command has no other child.
  const shell = hub?.pid;
  process.kill(Number(readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8")), "SIGTERM");
  await hub?.exited;
  run("useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "nats");
  cpSync(`${OPERATOR}/hub`, HUB, { recursive: true });
  run("chown", "-R", "nats:nats", HUB);
  writeFileSync(HUB_UNIT, documentedUnit());
  run("systemctl", "daemon-reload");
  run("systemctl", "enable", "--now", "ffrtmp-hub");
  await until("the hub is there", () => Bun.spawnSync(["ffrtmp", "fleet", "setup"]).exitCode === 0);
  expect(ffrtmp("fleet", "setup")).toContain("the hub has all streams");
  run("ffrtmp", "run", "--job-id", "moved", "--", "true");
  expect(await result("moved")).toMatchObject({ exit_code: 0 });
  expect(await result("first")).toMatchObject({ exit_code: 3 });
  expect(Number(property("MainPID"))).toBe(before);
});

fleetTest("a node of a hub elsewhere is known after a copy of its users and a reload", async () => {
  const invited = Bun.spawnSync(["ffrtmp", "fleet", "invite", "edge-2"]);
  expect([invited.exitCode, invited.stderr.toString()]).toEqual([
    1,
    expect.stringContaining("systemctl reload ffrtmp-hub"),
  ]);
  copyFileSync(`${OPERATOR}/hub/users.conf`, `${HUB}/users.conf`);
  run("chown", "nats:nats", `${HUB}/users.conf`);
  run("systemctl", "reload", "ffrtmp-hub");
  const join = ["ffrtmp", "fleet", "join", "--config", "/etc/ffrtmp/other/node.yaml", "-"];
  await until("edge-2 can connect", () => Bun.spawnSync(join, { stdin: invited.stdout }).exitCode === 0);
});

fleetTest("the agent's service is little exposed", () => {
  const overall = /Overall exposure level for \S+: ([\d.]+)/.exec(
    run("systemd-analyze", "security", "--no-pager", `${AGENT}.service`),
  )?.[1];
  console.log(`exposure of ${AGENT}: ${overall}`);
  expect(Number(overall)).toBeLessThanOrEqual(MOST_EXPOSURE);
});

/** The unit of the hub in docs/fleet.md. */
function documentedUnit(): string {
  const page = readFileSync(join(REPOSITORY, "docs/fleet.md"), "utf8");
  const block = /ffrtmp-hub\.service`[^\n]*\n *```\n([\s\S]*?)\n *```/.exec(page)?.[1];
  if (block === undefined) throw new Error("docs/fleet.md shows no unit of the hub");
  return `${block.replaceAll(/^ +/gm, "")}\n`;
}

/** The first two commands of "Many machines" in README.md. */
function documentedCommands(): [string, string] {
  const page = readFileSync(join(REPOSITORY, "README.md"), "utf8");
  const block = /## Many machines\n[\s\S]*?```\n([\s\S]*?)\n```/.exec(page)?.[1] ?? "";
  const commands = block.split("\n").map((line) => line.replace(/#.*/, "").trim());
  expect(commands.slice(0, 2)).toEqual([
    expect.stringMatching(/^ffrtmp fleet init .* && ffrtmp fleet up$/),
    expect.stringMatching(/^ffrtmp fleet invite .* join --start -$/),
  ]);
  return commands as [string, string];
}

/** Waits until another agent than `before` has connected, and returns its PID. */
function connectedAgent(before: number): Promise<number> {
  return eventually("the agent is connected", () => {
    const pid = Number(property("MainPID"));
    if (pid === 0 || pid === before) return undefined;
    const journal = run("journalctl", `_PID=${pid}`, "--output=cat", "--no-pager");
    return journal.includes("connected to the fleet's hub as node edge-1") ? pid : undefined;
  });
}

function result(jobId: string): Promise<Record<string, unknown>> {
  return eventually(`the result of ${jobId} is at the hub`, () => {
    const rows: Record<string, unknown>[] = JSON.parse(ffrtmp("fleet", "results", "--json"));
    return rows.find(({ job_id: id }) => id === jobId);
  });
}

function property(name: string): string {
  return run("systemctl", "show", "--value", `--property=${name}`, AGENT).trim();
}

function ffrtmp(...args: string[]): string {
  return run("ffrtmp", ...args);
}

function run(...cmd: string[]): string {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const { exitCode, stdout, stderr } = Bun.spawnSync(cmd, { env });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: exit ${exitCode}: ${stderr}${stdout}`);
  return stdout.toString();
}
