import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { ANY_MACHINE, load } from "../../test/support/decisions.ts";
import { type FactsWords, factsOf } from "../../test/support/facts.ts";
import { SPELLINGS } from "../limits/spellings.ts";
import { type Decision, decide } from "./decide.ts";
import { describeKeys, toJsonSchema } from "./file/describe.ts";
import { loadPolicy } from "./file/loadPolicy.ts";
import { type Policy, totalOf } from "./policy.ts";

const DOCUMENT = readFileSync(resolve(import.meta.dir, "../../docs/policy.md"), "utf8");
const MiB = 1024 ** 2;

/** Returns the policy that docs/policy.md shows under a heading. */
function documented(heading: string): Policy {
  const section = DOCUMENT.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const text = /```yaml\n(.*?)```/s.exec(section)?.[1] ?? "";
  const loaded = loadPolicy(text, heading, ANY_MACHINE);
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  expect(loaded.warnings).toEqual([]);
  return loaded.policy;
}

function decisionsOf(policy: Policy, processes: FactsWords[]): Decision[] {
  return processes.map((words) => decide(policy, factsOf(words)));
}

test("the policies for schedulers match what a scheduler has started", () => {
  const document = readFileSync(resolve(import.meta.dir, "../../docs/schedulers.md"), "utf8");
  const policies = [...document.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = ""]) => load(text));
  const unit = (name: string) => ({ scheduler: "systemd", systemd_unit: name });
  const processes: FactsWords[] = [
    { labels: { scheduler: "slurm", slurm_job: "17" } },
    { labels: unit("live@7.service") },
    { labels: unit("other.service") },
    { labels: { scheduler: "kubernetes", k8s_pod: "3e61" } },
  ];
  const rules = policies.map((policy) => decisionsOf(policy, processes).map((decision) => decision.rule));
  expect(rules).toEqual([
    ["slurm", "live-units", undefined, undefined],
    [undefined, undefined, undefined, "pods"],
  ]);
});

test("the live edge has limits for each kind of stream, and does not govern those of an administrator", () => {
  const decisions = decisionsOf(documented("A live edge"), [
    { argv: ["ffmpeg", "-s", "1920x1080", "x"] },
    { argv: ["ffmpeg", "-i", "a", "-c", "copy", "b"] },
    { argv: ["ffmpeg", "-i", "a", "b"] },
    { ancestors: ["bash", "sshd"] },
    { cwd: "/tmp/x" },
    { argv: ["gst-launch-1.0"], executable: "/usr/bin/gst-launch-1.0" },
  ]);
  expect(decisions).toMatchObject(
    [
      {
        rule: "transcode-1080p",
        intent: "live",
        labels: { rendition: "1080p" },
        limits: {
          cpuMax: { quotaUsec: 300_000 },
          cpuWeight: 300,
          oomScoreAdj: -200,
          memoryHighBytes: 2048 * MiB,
        },
      },
      { rule: "relay", limits: { cpuMax: { quotaUsec: 50_000 }, memoryMaxBytes: 512 * MiB } },
      { rule: undefined, limits: { cpuMax: { quotaUsec: 200_000 } } },
      { govern: false, because: /blocked_parents/ },
      { govern: false, because: /blocked_dirs/ },
      { govern: false },
    ].map(withPattern),
  );
});

test("the batch box slows encoders down, waits until they are old enough and ignores thumbnails", () => {
  const media = { cwd: "/srv/media/in" };
  const encoder = { argv: ["SvtAv1EncApp"], executable: "/opt/SvtAv1EncApp", ...media };
  const decisions = decisionsOf(documented("A batch box"), [
    media,
    { ...media, argv: ["x265"], executable: "/usr/bin/x265" },
    { cwd: "/srv/media/overnight/a" },
    { ...media, argv: ["ffmpeg", "-frames:v", "1", "x.jpg"] },
    { ...media, ageMs: 4000 },
    { ...encoder, ageMs: 20_000 },
    encoder,
    {},
  ]);
  expect(decisions).toMatchObject(
    [
      {
        govern: true,
        limits: { cpuWeight: 20, nice: 10, ionice: { class: "idle" }, memoryMaxBytes: 16_384 * MiB },
      },
      { govern: true, target: "x265" },
      { rule: "overnight", intent: "batch", limits: { cpuWeight: 5, nice: 10 } },
      { govern: false, rule: "thumbnails" },
      { govern: false, retryInMs: 6000 },
      { govern: false, retryInMs: 40_000 },
      {
        govern: true,
        limits: { cpuMax: { quotaUsec: 800_000 }, memoryMaxBytes: 32_768 * MiB, cpuWeight: 20 },
      },
      { govern: false, because: /allowed_dirs/ },
    ].map(withPattern),
  );
});

test("the platform of many tenants recognises each, with its total", () => {
  const policy = documented("Many tenants");
  const decisions = decisionsOf(policy, [
    { user: "root", uid: 0 },
    { cwd: "/srv/customers/acme/live" },
    { cwd: "/srv/customers/acme2", group: "customers", user: "zoe" },
    { container: "9f2c", cwd: "/" },
    {},
  ]);
  expect(decisions).toMatchObject([
    { govern: false, rule: "platform" },
    { tenant: "acme", placement: "nested", limits: { cpuMax: { quotaUsec: 200_000 }, pidsMax: 64 } },
    { tenant: "zoe", rule: "customers", labels: { plan: "shared" } },
    { tenant: "9f2c", rule: "containers" },
    { govern: true, tenant: undefined },
  ]);
  expect(totalOf(policy, "acme")).toEqual({
    cpuMax: { quotaUsec: 400_000, periodUsec: 100_000 },
    memoryHighBytes: 8192 * MiB,
    pidsMax: 500,
  });
  expect(totalOf(policy, "zoe")).toMatchObject({ memoryMaxBytes: 2048 * MiB, pidsMax: 100 });
});

test("the policy that the package installs is valid", () => {
  const text = readFileSync(resolve(import.meta.dir, "../../packaging/policy.yaml"), "utf8");
  expect(loadPolicy(text, "policy.yaml")).toMatchObject({ policy: { scanIntervalMs: 5000 }, warnings: [] });
});

function withPattern<T extends object>(expected: T): T {
  const { because } = expected as { because?: RegExp };
  return because === undefined ? expected : { ...expected, because: expect.stringMatching(because) };
}

test("an editor accepts the documented policies by the JSON Schema", () => {
  const schema = z.fromJSONSchema(toJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  const texts = [...DOCUMENT.matchAll(/```yaml\n(.*?)```/gs)].map(([, text]) => text as string);
  expect(texts).toHaveLength(4);
  texts.push(
    "rules: [{name: a, match: {command: [ffmpeg], container: true, env: {A: x}}}]",
    "default_limits: {io_max: {device: 8:0, rbps: 5M}, cpu_quota: max}",
    "filters: {min_runtime: , allowed_uids: [5]}",
  );
  for (const text of texts) expect(schema.safeParse(parse(text)).error).toBeUndefined();
  for (const text of ["rulez: []", "rules: [{match: {}}]", "rules: [{name: a, match: {command: []}}]"])
    expect(schema.safeParse(parse(text)).success).toBeFalse();
});

test("the document shows every way to write a value", () => {
  for (const { value, examples, meaning } of SPELLINGS) {
    expect(DOCUMENT).toContain(
      `| ${value} | ${examples.map((text) => `\`${text}\``).join(", ")} | ${meaning} |`,
    );
  }
});

test("the document describes every key as the schema does", () => {
  const paths: PropertyKey[][] = [
    [],
    ["filters"],
    ["commands", ""],
    ["rules", 0],
    ["rules", 0, "match"],
    ["rules", 0, "match", "labels"],
    ["default_limits"],
    ["retention"],
    ["intents"],
  ];
  for (const { key, meaning, right } of paths.flatMap(describeKeys)) {
    const cells = [`\`${key}\``, ...(meaning === undefined ? [] : [meaning]), right.join("; ")];
    // Markdown reads a star as emphasis.
    expect(DOCUMENT).toContain(`| ${cells.map((cell) => cell.replaceAll("*", "\\*")).join(" | ")} |`);
  }
});
