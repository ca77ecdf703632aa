import { testDecisions } from "../../test/support/decisions.ts";

testDecisions("filters", [
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
]);
