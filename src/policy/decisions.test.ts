import { describe, expect, test } from "bun:test";
import { type FactsWords, factsOf } from "../../test/fixtures/facts.ts";
import { type Decision, decide, explain } from "./decide.ts";
import { loadPolicy } from "./file/loadPolicy.ts";
import type { Policy } from "./policy.ts";

/** One process under one policy, and what has to come of it. */
interface Case {
  name: string;
  policy: string;
  process?: FactsWords;
  /** A governed process's decision, as far as it is said; or the words of why it is not governed. */
  expect: Partial<Extract<Decision, { govern: true }>> | { because: string; retryInMs?: number };
  /** The first condition that failed, by rule, `filters` or `target_commands`; `undefined`: it matched. */
  failed?: Record<string, string | undefined>;
}

function load(text: string): Policy {
  const loaded = loadPolicy(text, "policy.yaml", (device) => ({ device }));
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  return loaded.policy;
}

const SH: FactsWords = { argv: ["sh"], executable: "/bin/sh" };
const CORE = (percent: number) => ({ quotaUsec: percent * 1000, periodUsec: 100_000 });
const NO_TARGET = "no rule matches, and it goes by none of the target commands";
const only = (match: string): string =>
  `rules: [{name: a, match: ${match}}, {name: rest, match: {}, ignore: true}]`;
const matched = { rule: "a" };
const unmatched = { because: "rule rest ignores it" };
const fails = (key: string) => ({ a: key });

const OLDER_KEYS: Case[] = [
  {
    name: "the usual commands are governed by an empty policy",
    policy: "{}",
    expect: { target: "ffmpeg", limits: {} },
  },
  {
    name: "gst-launch-1.0 is usual too",
    policy: "{}",
    process: { argv: ["gst-launch-1.0"], executable: "/usr/bin/gst-launch-1.0" },
    expect: { target: "gst-launch-1.0" },
  },
  {
    name: "other commands are not",
    policy: "{}",
    process: SH,
    expect: { because: NO_TARGET },
    failed: { target_commands: "target_commands" },
  },
  {
    name: "target_commands replaces the usual ones",
    policy: "target_commands: [x264]",
    expect: { because: NO_TARGET },
  },
  {
    name: "an empty target_commands means the usual ones",
    policy: "target_commands: []",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a target is known by its cut-off name",
    policy: "target_commands: [a-very-long-encoder]",
    process: { argv: [], comm: "a-very-long-enc", executable: undefined },
    expect: { target: "a-very-long-encoder" },
  },
  {
    name: "a target may be a pattern",
    policy: "target_commands: ['ffmpeg*']",
    process: { argv: ["ffmpeg-7.1"], executable: "/opt/ffmpeg-7.1" },
    expect: { target: "ffmpeg-7.1" },
  },
  {
    name: "default_limits has percent, weight and MB",
    policy: "default_limits: {cpu_quota: 200, cpu_weight: 100, memory_limit: 4096}",
    expect: { limits: { cpuMax: CORE(200), cpuWeight: 100, memoryHighBytes: 4096 * 1024 ** 2 } },
  },
  {
    name: "a limit of 0 is none",
    policy: "default_limits: {cpu_quota: 0, cpu_weight: 0, memory_limit: 0}",
    expect: { limits: {} },
  },
  {
    name: "a command's limits override the defaults one by one",
    policy:
      "default_limits: {cpu_quota: 200, cpu_weight: 50}\ncommands: {ffmpeg: {limits: {cpu_quota: 300}}}",
    expect: { limits: { cpuMax: CORE(300), cpuWeight: 50 } },
  },
  {
    name: "another command's limits do not",
    policy: "default_limits: {cpu_quota: 200}\ncommands: {gst-launch-1.0: {limits: {cpu_quota: 300}}}",
    expect: { limits: { cpuMax: CORE(200) } },
  },
  {
    name: "a command's 0 leaves the default",
    policy: "default_limits: {cpu_quota: 200}\ncommands: {ffmpeg: {limits: {cpu_quota: 0}}}",
    expect: { limits: { cpuMax: CORE(200) } },
  },
  {
    name: "empty lists restrict nothing",
    policy:
      "filters: {allowed_users: [], blocked_users: [], allowed_uids: [], blocked_uids: [], allowed_parents: [], blocked_parents: [], allowed_dirs: [], blocked_dirs: [], min_runtime: '', max_runtime: ''}",
    expect: { target: "ffmpeg" },
    failed: { filters: undefined },
  },
  {
    name: "sections with nothing below them restrict nothing",
    policy: "filters:\n  allowed_users:\ncommands:\nrules:\ndefault_limits:",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_users lets its users pass",
    policy: "filters: {allowed_users: [video, live]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_users stops others",
    policy: "filters: {allowed_users: [video]}",
    expect: { because: "filters.allowed_users wants video, and it is live (1001)" },
    failed: { filters: "filters.allowed_users" },
  },
  {
    name: "allowed_users stops a user without a name",
    policy: "filters: {allowed_users: [video]}",
    process: { user: undefined },
    expect: { because: "filters.allowed_users wants video, and it is 1001, which has no name here" },
  },
  {
    name: "blocked_users stops its users",
    policy: "filters: {blocked_users: [live]}",
    expect: { because: "filters.blocked_users wants not live, and it is live (1001)" },
  },
  {
    name: "blocked_users lets others pass",
    policy: "filters: {blocked_users: [root]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_users stops who cannot be known",
    policy: "filters: {blocked_users: [root]}",
    process: { uid: undefined, user: undefined },
    expect: { because: "filters.blocked_users wants not root, and it is not to be seen" },
  },
  {
    name: "allowed_uids lets its uids pass",
    policy: "filters: {allowed_uids: [1000, 1001]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_uids stops others",
    policy: "filters: {allowed_uids: [1000]}",
    expect: { because: "filters.allowed_uids wants 1000, and it is live (1001)" },
  },
  {
    name: "blocked_uids stops its uids",
    policy: "filters: {blocked_uids: [1001]}",
    expect: { because: "filters.blocked_uids wants not 1001, and it is live (1001)" },
  },
  {
    name: "blocked_uids lets others pass",
    policy: "filters: {blocked_uids: [0]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_parents knows the parent by its PID",
    policy: "filters: {allowed_parents: [812]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_parents stops the children of other PIDs",
    policy: "filters: {allowed_parents: [813]}",
    expect: { because: "filters.allowed_parents wants 813, and it is nginx < systemd (parent 812)" },
  },
  {
    name: "allowed_parents knows any ancestor by its command",
    policy: "filters: {allowed_parents: [nginx]}",
    process: { ancestors: ["sh", "nginx", "systemd"] },
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_parents stops the children of a PID",
    policy: "filters: {blocked_parents: [812]}",
    expect: { because: "filters.blocked_parents wants not 812, and it is nginx < systemd (parent 812)" },
  },
  {
    name: "blocked_parents stops what a command started",
    policy: "filters: {blocked_parents: [sshd]}",
    process: { ancestors: ["bash", "sshd", "systemd"] },
    expect: {
      because: "filters.blocked_parents wants not sshd, and it is bash < sshd < systemd (parent 812)",
    },
  },
  {
    name: "min_runtime stops what is younger, and says when to look again",
    policy: "filters: {min_runtime: 5s}",
    process: { ageMs: 3200 },
    expect: { because: "filters.min_runtime wants at least 5s, and it is 3.2s", retryInMs: 1800 },
  },
  {
    name: "min_runtime lets pass what is as old",
    policy: "filters: {min_runtime: 5s}",
    process: { ageMs: 5000 },
    expect: { target: "ffmpeg" },
  },
  {
    name: "what else speaks against a young process is final",
    policy: "filters: {min_runtime: 5s, blocked_users: [live]}",
    process: { ageMs: 1 },
    expect: { because: "filters.blocked_users wants not live, and it is live (1001)" },
  },
  {
    name: "max_runtime stops what is older",
    policy: "filters: {max_runtime: 1m30s}",
    process: { ageMs: 91_000 },
    expect: { because: "filters.max_runtime wants at most 1m30s, and it is 91s" },
  },
  {
    name: "max_runtime lets pass what is as old",
    policy: "filters: {max_runtime: 24h}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a runtime of 0 is none",
    policy: "filters: {min_runtime: 0, max_runtime: 0}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "runtimes let no job go",
    policy: "filters: {max_runtime: 1s, min_runtime: 1h}",
    process: { isGoverned: true },
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_dirs takes in what lies below",
    policy: "filters: {allowed_dirs: [/srv]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_dirs takes whole components",
    policy: "filters: {allowed_dirs: [/srv/li]}",
    expect: { because: "filters.allowed_dirs wants /srv/li, and it is /srv/live" },
  },
  {
    name: "allowed_dirs follows links",
    policy: "filters: {allowed_dirs: [/current]}",
    process: { links: { "/current": "/srv" } },
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_dirs stops what lies below",
    policy: "filters: {blocked_dirs: [/srv, /tmp]}",
    expect: { because: "filters.blocked_dirs wants not /srv or /tmp, and it is /srv/live" },
  },
  {
    name: "blocked_dirs follows links",
    policy: "filters: {blocked_dirs: [/current/]}",
    process: { links: { "/current": "/srv/live" } },
    expect: { because: "filters.blocked_dirs wants not /current/, and it is /srv/live" },
  },
  {
    name: "blocked_dirs lets others pass",
    policy: "filters: {blocked_dirs: [/tmp]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a directory that cannot be read is not taken for a good one",
    policy: "filters: {blocked_dirs: [/tmp]}",
    process: { cwd: undefined },
    expect: { because: "filters.blocked_dirs wants not /tmp, and it is not to be seen" },
  },
  {
    name: "a command's filters override the global ones key by key",
    policy:
      "filters: {min_runtime: 1h, blocked_users: [root]}\ncommands: {ffmpeg: {filters: {min_runtime: 10s}}}",
    expect: { target: "ffmpeg" },
    failed: { filters: undefined },
  },
  {
    name: "a command's filter is named as it stands in the file",
    policy: "filters: {min_runtime: 1s}\ncommands: {ffmpeg: {filters: {min_runtime: 2m}}}",
    expect: {
      because: "commands.ffmpeg.filters.min_runtime wants at least 2m, and it is 60s",
      retryInMs: 60_000,
    },
  },
  {
    name: "an empty list of a command lifts a global filter",
    policy: "filters: {allowed_users: [video]}\ncommands: {ffmpeg: {filters: {allowed_users: []}}}",
    expect: { target: "ffmpeg" },
  },
];

const RULES: Case[] = [
  {
    name: "the first rule that matches wins",
    policy: "rules: [{name: a, match: {user: live}, intent: x}, {name: b, match: {}, intent: y}]",
    expect: { rule: "a", intent: "x" },
    failed: { a: undefined, b: undefined },
  },
  {
    name: "a later one takes what the first does not",
    policy: "rules: [{name: a, match: {user: video}}, {name: b, match: {}}]",
    expect: { rule: "b" },
    failed: { a: "match.user", b: undefined },
  },
  {
    name: "without a rule that matches a target has the defaults",
    policy: "default_limits: {nice: 5}\nrules: [{name: a, match: {user: video}}]",
    expect: { rule: undefined, limits: { nice: 5 } },
  },
  {
    name: "a rule's limits override the command's and the defaults",
    policy:
      "default_limits: {nice: 5, pids_max: 9, cpu_weight: 1}\ncommands: {ffmpeg: {limits: {nice: 6, pids_max: 8}}}\nrules: [{name: a, match: {}, limits: {nice: 7}}]",
    expect: { limits: { nice: 7, pidsMax: 8, cpuWeight: 1 } },
  },
  {
    name: "max lifts what is said elsewhere",
    policy:
      "default_limits: {cpu_quota: 100, memory_max: 1GiB}\nrules: [{name: a, match: {}, limits: {cpu_max: max 100000, memory_max: max}}]",
    expect: { limits: {} },
  },
  {
    name: "ignore wins over targets",
    policy: "rules: [{name: a, match: {user: live}, ignore: true}]",
    expect: { because: "rule a ignores it" },
  },
  {
    name: "filters hold for rules as well",
    policy: "filters: {blocked_users: [live]}\nrules: [{name: a, match: {}}]",
    expect: { because: "filters.blocked_users wants not live, and it is live (1001)" },
    failed: { a: undefined, filters: "filters.blocked_users" },
  },
  {
    name: "a rule without a command speaks of the targets only",
    policy: "rules: [{name: a, match: {user: live}}]",
    process: SH,
    expect: { because: NO_TARGET },
    failed: { a: "target_commands" },
  },
  {
    name: "a rule with a command needs no target",
    policy: only("{command: sh}"),
    process: SH,
    expect: { rule: "a", target: "sh" },
  },
  {
    name: "a command pattern names what it found",
    policy: only("{command: 'ff*'}"),
    process: { argv: ["ffprobe"], executable: "/usr/bin/ffprobe" },
    expect: { rule: "a", target: "ffprobe" },
  },
  {
    name: "exe is a whole path",
    policy: only("{exe: '/usr/bin/*'}"),
    process: { ...SH, executable: "/usr/bin/sh" },
    expect: { rule: "a", target: "sh" },
  },
  {
    name: "exe does not cross directories by one star",
    policy: only("{exe: '/usr/*'}"),
    expect: unmatched,
    failed: fails("match.exe"),
  },
  {
    name: "exe follows links",
    policy: only("{exe: /bin/ffmpeg}"),
    process: { links: { "/bin/ffmpeg": "/usr/bin/ffmpeg" } },
    expect: matched,
  },
  {
    name: "an executable that cannot be read matches no exe",
    policy: only("{exe: '/**'}"),
    process: { executable: undefined },
    expect: unmatched,
    failed: fails("match.exe"),
  },
  { name: "argv is matched as a whole", policy: only("{argv: '*-i in.* *'}"), expect: matched },
  {
    name: "argv needs its stars",
    policy: only("{argv: in.mp4}"),
    expect: unmatched,
    failed: fails("match.argv"),
  },
  { name: "one of several patterns is enough", policy: only("{user: [video, 'li*']}"), expect: matched },
  {
    name: "a user may be a number",
    policy: only("{user: 1001}"),
    process: { user: undefined },
    expect: matched,
  },
  {
    name: "a group is not a user",
    policy: only("{group: video}"),
    expect: unmatched,
    failed: fails("match.group"),
  },
  { name: "a group may be a name", policy: only("{group: live}"), expect: matched },
  {
    name: "cwd takes in what lies below a pattern",
    policy: only("{cwd: '/srv/*'}"),
    process: { cwd: "/srv/live/a/b" },
    expect: matched,
  },
  {
    name: "cwd takes whole components",
    policy: only("{cwd: /srv/li}"),
    expect: unmatched,
    failed: fails("match.cwd"),
  },
  { name: "parent is any ancestor", policy: only("{parent: systemd}"), expect: matched },
  {
    name: "parent is not the process itself",
    policy: only("{parent: ffmpeg}"),
    expect: unmatched,
    failed: fails("match.parent"),
  },
  { name: "cgroup takes in what lies below", policy: only("{cgroup: /system.slice}"), expect: matched },
  {
    name: "cgroup takes whole components",
    policy: only("{cgroup: /system}"),
    expect: unmatched,
    failed: fails("match.cgroup"),
  },
  {
    name: "container: true is any",
    policy: only("{container: true}"),
    process: { container: "9f2c" },
    expect: matched,
  },
  {
    name: "container: false is none",
    policy: only("{container: false}"),
    process: { container: "9f2c" },
    expect: unmatched,
    failed: fails("match.container"),
  },
  {
    name: "container may be a pattern of the id",
    policy: only("{container: '9f*'}"),
    process: { container: "9f2c" },
    expect: matched,
  },
  {
    name: "an environment variable is matched by its value",
    policy: only("{env: {TIER: gold}}"),
    process: { environment: { TIER: "gold" } },
    expect: matched,
  },
  {
    name: "a variable that is not set does not match",
    policy: only("{env: {TIER: '*'}}"),
    expect: unmatched,
    failed: fails("match.env.TIER"),
  },
  {
    name: "an environment that cannot be read does not match",
    policy: only("{env: {TIER: '*'}}"),
    process: { environment: undefined },
    expect: unmatched,
    failed: fails("match.env.TIER"),
  },
  {
    name: "all conditions of a rule must hold",
    policy: only("{user: live, cwd: /tmp, parent: no}"),
    expect: unmatched,
    failed: fails("match.cwd"),
  },
  {
    name: "tenant, labels, intent and placement go with the job",
    policy:
      "rules: [{name: a, match: {}, tenant: acme, labels: {tier: gold}, intent: live, placement: nested}]",
    expect: { tenant: "acme", labels: { tier: "gold" }, intent: "live", placement: "nested" },
  },
  {
    name: "a tenant is taken from the user",
    policy: "rules: [{name: a, match: {}, tenant: '{user}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "a tenant is taken from the directory",
    policy: "rules: [{name: a, match: {}, tenant: '{cwd:2}'}]",
    expect: { tenant: "live" },
  },
  {
    name: "a rule speaks of no process that gives it no tenant",
    policy: "rules: [{name: a, match: {}, tenant: '{container}'}, {name: b, match: {}, tenant: house}]",
    expect: { rule: "b", tenant: "house" },
    failed: { a: "tenant" },
  },
  {
    name: "sizes and rates are written as people do",
    policy:
      "default_limits: {cpu_quota: 1.5 cores, memory_limit: 512M, memory_max: 2GiB, io_max: '8:0 rbps=50MB/s wiops=500', pids_max: 64, cpus: 0-3, nice: -5, ionice: idle, oom_score_adj: 300}",
    expect: {
      limits: {
        cpuMax: CORE(150),
        memoryHighBytes: 512 * 1024 ** 2,
        memoryMaxBytes: 2 * 1024 ** 3,
        ioMax: [{ device: "8:0", rbps: 50_000_000, wiops: 500 }],
        pidsMax: 64,
        cpus: "0-3",
        nice: -5,
        ionice: { class: "idle", level: 0 },
        oomScoreAdj: 300,
      },
    },
  },
];

describe.each([
  ["the keys of the older system", OLDER_KEYS],
  ["rules", RULES],
])("%s", (_, cases) => {
  test.each(cases.map((one): [string, Case] => [one.name, one]))("%s", (_, one) => {
    const policy = load(one.policy);
    const facts = factsOf(one.process);
    const { decision, steps } = explain(policy, facts);
    expect(decide(policy, facts)).toEqual(decision);
    if ("because" in one.expect) {
      expect(decision).toMatchObject({ govern: false, because: one.expect.because });
      expect((decision as { retryInMs?: number }).retryInMs).toBe(one.expect.retryInMs as number);
    } else {
      expect({ ...decision, ...one.expect }).toEqual(decision as never);
      expect(decision.govern).toBe(true);
    }
    for (const [subject, key] of Object.entries(one.failed ?? {})) {
      const step = steps.find((candidate) => candidate.subject === subject);
      expect([subject, step?.failed?.key]).toEqual([subject, key]);
      expect(step).toBeDefined();
    }
  });
});

test("the rules behind the one that decides are told apart from those that do not match", () => {
  const policy = load("rules: [{name: a, match: {}}, {name: b, match: {}}, {name: c, match: {user: no}}]");
  expect(
    explain(policy, factsOf()).steps.map(({ subject, isTooLate, failed }) => [
      subject,
      isTooLate,
      failed?.key,
    ]),
  ).toEqual([
    ["a", false, undefined],
    ["b", true, undefined],
    ["c", false, "match.user"],
    ["target_commands", true, undefined],
    ["filters", false, undefined],
  ]);
});
