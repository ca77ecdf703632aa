import { describe, expect, it } from "bun:test";
import { ANY_MACHINE } from "../../../test/support/decisions.ts";
import { loadPolicy } from "./loadPolicy.ts";

const MACHINE = {
  ...ANY_MACHINE,
  programs: {
    has: (name: string) => ["ffmpeg", "x264", "nginx"].includes(name),
    list: () => ["ffmpeg", "x264", "nginx"],
  },
  cpus: () => "0-1",
  users: () => new Set(["root", "alice"]),
  groups: () => new Set(["video"]),
};

function warningsOf(text: string): string[] {
  const loaded = loadPolicy(text, "p", MACHINE);
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults));
  return loaded.warnings.map((w) => `${w.line}:${w.column} ${w.key} ${w.text} ${w.message} | ${w.right}`);
}

/** A policy with these `match` sections, in rules r0, r1 and so on. */
function rules(...matches: string[]): string {
  const lines = matches.map((match, index) => `  - {name: r${index}, match: ${match}}`);
  return ["target_commands: [ffmpeg]", "rules:", ...lines, ""].join("\n");
}

describe("a policy file with likely mistakes", () => {
  it.each<[string, string[]]>([
    [
      "default_limits: {cpu_quota: 1.5}",
      [
        '1:29 default_limits.cpu_quota "1.5" is 1.5 % of one core | 150 for 1.5 cores, or 1.5% if that is meant',
      ],
    ],
    [
      "tenants: {a: {cpus: 2}}",
      [
        '1:21 tenants.a.cpus "2" will be refused on this machine, which has none of these CPUs | CPUs of 0-1',
        '1:21 tenants.a.cpus "2" is the CPU with number 2, and no other | a quota of 200 for 2 cores of CPU time, or 2-2 if that CPU is meant',
      ],
    ],
    [
      'intents: {headroom: "10%"}',
      ['1:21 intents.headroom "10%" has no effect without a governor | governor: on'],
    ],
    [
      "target_commands: [ffmpge]",
      ['1:19 target_commands[0] "ffmpge" is the name of no program in PATH, and of no process now | ffmpeg'],
    ],
    [
      'target_commands: ["ffmpeg,x264"]',
      ['1:19 target_commands[0] "ffmpeg,x264" is one name, with a comma in it | an item for each command'],
    ],
    [
      "filters: {blocked_users: [root, alcie]}",
      [
        '1:33 filters.blocked_users[1] "alcie" is not a user in /etc/passwd, and matches no process now | alice',
      ],
    ],
    [
      "commands: {ffmpeg: {filters: {allowed_users: ['1000']}}}",
      [
        "1:47 commands.ffmpeg.filters.allowed_users[0] '1000' is not a user in /etc/passwd, and matches no process now | 1000 without quotes, for the id",
      ],
    ],
    [
      rules("{group: vidoe}"),
      ['3:31 rules[0].match.group "vidoe" is not a group in /etc/group, and matches no process now | video'],
    ],
    [
      rules("{argv: rtmp://}"),
      [
        '3:30 rules[0].match.argv "rtmp://" is compared with the whole command line, which begins with the name of the program | "*rtmp://*"',
      ],
    ],
    [
      rules('{argv: ["*-vn*", "-c copy*"]}'),
      [
        '3:40 rules[0].match.argv[1] "-c copy*" is compared with the whole command line, which begins with the name of the program | "*-c copy*"',
      ],
    ],
    [
      rules("{argv: 1920x1080}"),
      [
        '3:30 rules[0].match.argv "1920x1080" is compared with the whole command line, and matches no longer one without * | "*1920x1080*"',
      ],
    ],
  ])("%s", (text, warnings) => {
    expect(warningsOf(text)).toEqual(warnings);
  });

  it("searches similar names for the first few of many that do not exist", () => {
    const names = Array.from({ length: 3000 }, (_, index) => `ffmpge${index}`);
    const warnings = warningsOf(`target_commands: [${names.join(", ")}]\nfilters: {blocked_users: [alcie]}`);
    expect(warnings).toHaveLength(3001);
    expect(warnings.at(-1)).toEndWith("| a name in that file, or an id");
  });

  it("has no warning for what is meant", () => {
    for (const text of [
      "default_limits: {cpu_quota: 1.5%, cpus: 0-7}",
      "default_limits: {cpu_quota: 0, cpus: 1-1, memory_max: 0}",
      "target_commands: ['ffm*']",
      "filters: {allowed_users: [alice, 'cust-*', 1000]}",
      rules("{argv: 'ffmpeg -i a b'}", "{argv: '*-i *', user: root}", "{argv: ['ffmpeg -f*', '/usr/bin/*']}"),
    ])
      expect(warningsOf(text)).toEqual([]);
  });
});

describe("a rule is never used", () => {
  it.each([
    ["after one without conditions", "{}", "{user: alice}"],
    ["after one for all commands", "{command: '*'}", "{argv: '*-vn*'}"],
    ["after the same", "{user: alice, argv: '*-vn*'}", "{argv: '*-vn*', user: alice}"],
    ["after one with more values", "{user: [alice, root]}", "{user: root}"],
    ["after a wider pattern", "{command: 'x*'}", "{command: x264, user: alice}"],
    ["after a part of its arguments", "{argv: '*rtmp*'}", "{argv: '*-f flv rtmp://*'}"],
    ["after a cgroup around its own", "{cgroup: /a}", "{cgroup: /a/b}"],
    ["after any container", "{container: true}", "{container: web}"],
    ["after one of its variables", "{env: {A: '*'}}", "{env: {A: gold, B: '1'}}"],
    ["after one of its labels", "{labels: {slurm_job: '*'}}", "{labels: {slurm_job: 17, slurm_step: 0}}"],
    ["when the targets are among its commands", "{command: [ffmpeg, x264]}", "{user: alice}"],
  ])("%s", (_, wide, narrow) => {
    const [warning = "", ...others] = warningsOf(rules(wide, narrow));
    expect(others).toEqual([]);
    expect(warning).toMatch(
      /^4:12 rules\[1\]\.name "r1" never decides: rule r0 matches every process .* \| above rule r0$/,
    );
  });

  it.each([
    ["a symbolic link can lead out of a directory", "{cwd: /srv}", "{cwd: /srv/live}"],
    ["a user can have another id", "{user: root}", "{user: 0}"],
    ["a command is no target", "{}", "{command: nginx}"],
    ["an executable is no command", "{command: ffmpeg}", "{exe: /usr/bin/ffmpeg}"],
    ["the kernel cuts the name of a process", "{command: '*-end'}", "{command: nginx}"],
    ["other variables", "{env: {A: gold}}", "{env: {B: gold}}"],
    ["any name is no number", "{user: '*'}", "{user: 1000}"],
    ["a narrower one", "{user: alice, argv: '*-vn*'}", "{user: alice}"],
  ])("except that %s", (_, first, second) => {
    expect(warningsOf(rules(first, second))).toEqual([]);
  });

  it("except after a rule whose tenant comes from the process", () => {
    const text = (tenant: string) =>
      `rules:\n  - {name: a, match: {}, tenant: "${tenant}"}\n  - {name: b, match: {user: alice}}\n`;
    expect(warningsOf(text("{env:T}"))).toEqual([]);
    expect(warningsOf(text("acme"))).toHaveLength(1);
  });
});
