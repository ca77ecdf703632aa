import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { JSON_DOCUMENTS } from "../../src/json/commandDocuments.ts";
import { checkJsonContract, documentOf } from "../support/jsonContract.ts";
import { lacksLimits, testIf, until, useSandbox } from "../support/sandbox.ts";
import { makeStandInSsh } from "../support/standInSsh.ts";

const sandbox = useSandbox();

testIf(lacksLimits())("every document that docs/json.md describes is printed as described", async () => {
  const box = sandbox();
  const { name, path } = box.program("sleep");
  const policy = box.path("policy.yaml");
  writeFileSync(policy, `target_commands: [${name}]\ndefault_limits: {cpu_quota: 50}\n`);
  const printed = new Set<unknown>();

  /** Checks what a command line with --json has printed, and that it printed something. */
  const check = (args: string[], stdout: string, stderr = ""): void => {
    const document = documentOf(args);
    const output = document?.form === "stderr" ? stderr : stdout;
    expect({ args, hasJson: /^[[{]|^null$/m.test(output) }).toEqual({ args, hasJson: true });
    checkJsonContract(args, stdout, stderr);
    printed.add(document);
  };
  const run = async (...args: string[]): Promise<void> => {
    const { stdout, stderr } = await box.run(args);
    check(args, stdout, stderr);
  };
  const sleeper = () => box.spawn([path, "1000"]);
  const idle = ["--", "sleep", "1000"];

  await run("run", "--json", "--job-id", "ended", "--sla-eligible", "--", "false");
  await run("run", "-d", "--json", "--job-id", "one", "--tenant", "acme", "--memory-max", "1G", ...idle);
  await run("ps", "--json", "-a");
  await run("stats", "--json", "--once");
  await run("capacity", "--json");
  await run("inspect", "one", "--json");
  await run("limits", "set", "one", "--cpu-quota", "30", "--json");
  await run("limits", "reset", "one", "nobody", "--json");
  await run("history", "--json");
  await run("history", "--sla", "--json");
  await run("wait", "ended", "--json");
  await run("events", "--json");
  const [released, observed] = [sleeper(), sleeper()];
  await run("attach", "-d", "--json", "--pid", `${released.pid}`, "--job-id", "released");
  await run("detach", "released", "--json");
  await run("attach", "--policy", "--json", "--pid", `${released.pid}`);
  const attach = ["attach", "--json", "--pid", `${observed.pid}`, "--job-id", "observed"];
  const observer = box.start(attach);
  await box.pidOf("observed");
  observed.kill("SIGKILL");
  check(attach, await new Response(observer.stdout as ReadableStream).text());
  await run("policy", "check", policy, "--json");
  await run("policy", "explain", "--json", "--file", policy, "--pid", `${released.pid}`);
  await run("policy", "explain", "--json", "--file", policy, "--all");
  await run("watch", "--dry-run", "--json", "--watch-config", policy);
  const watch = ["watch", "--json", "--watch-config", policy];
  const daemon = box.start(watch);
  await until("the daemon answers", async () => (await box.run(["health"])).code < 2);
  await run("ps", "--daemon", "--json");
  await run("health", "--json");
  daemon.kill("SIGTERM");
  check(watch, await new Response(daemon.stdout as ReadableStream).text());
  await run("prune", "--dry-run", "--json");
  const env = makeStandInSsh(box);
  for (const command of ["ps", "stats", "history", "health"]) {
    const args = [command, "--state-path", box.state, "--json", "--on", "edge-1"];
    check(args, (await box.run(args, { env })).stdout);
  }
  await run("doctor", "--json");

  // Those of a fleet need a hub: see fleetHub.test.ts.
  const missing = JSON_DOCUMENTS.filter(
    (document) => !printed.has(document) && !document.command.startsWith("fleet "),
  );
  expect(missing.map(({ command, option }) => `${command} ${option ?? ""}`)).toEqual([]);
});
