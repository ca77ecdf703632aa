import { SH, testDecisions } from "../../test/support/decisions.ts";

/** A rule with this match, and a rule that ignores every other process. */
const only = (match: string): string =>
  `rules: [{name: a, match: ${match}}, {name: rest, match: {}, ignore: true}]`;
const matched = { rule: "a" };
const unmatched = { because: "rule rest ignores the process" };
const fails = (key: string) => ({ a: key });

testDecisions("conditions of a rule", [
  {
    name: "a rule with a command needs no target",
    policy: only("{command: sh}"),
    process: SH,
    expect: { rule: "a", target: "sh" },
  },
  {
    name: "a command pattern reports the name that it matched",
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
    name: "one star of exe does not match a directory separator",
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
    name: "argv without stars is the whole command line",
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
    name: "cwd includes everything below a pattern",
    policy: only("{cwd: '/srv/*'}"),
    process: { cwd: "/srv/live/a/b" },
    expect: matched,
  },
  {
    name: "cwd compares whole components",
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
  { name: "cgroup includes everything below", policy: only("{cgroup: /system.slice}"), expect: matched },
  {
    name: "cgroup compares whole components",
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
    name: "a label of the scheduler is matched by its value, also a number",
    policy: only("{labels: {scheduler: slurm, slurm_job: 17}}"),
    process: { labels: { scheduler: "slurm", slurm_job: "17" } },
    expect: matched,
  },
  {
    name: "a label may be a pattern or one of a list",
    policy: only("{labels: {systemd_unit: [other.service, 'encode@*.service']}}"),
    process: { labels: { scheduler: "systemd", systemd_unit: "encode@hls.service" } },
    expect: matched,
  },
  {
    name: "all labels must match",
    policy: only("{labels: {scheduler: slurm, slurm_step: batch}}"),
    process: { labels: { scheduler: "slurm", slurm_job: "17", slurm_step: "0" } },
    expect: unmatched,
    failed: fails("match.labels.slurm_step"),
  },
  {
    name: "a process without a scheduler has no label",
    policy: only("{labels: {scheduler: '*'}}"),
    expect: unmatched,
    failed: fails("match.labels.scheduler"),
  },
  {
    name: "all conditions of a rule must match",
    policy: only("{user: live, cwd: /tmp, parent: no}"),
    expect: unmatched,
    failed: fails("match.cwd"),
  },
]);
