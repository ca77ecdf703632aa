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
    name: "empty sections restrict nothing",
    policy: "filters:\n  allowed_users:\ncommands:\nrules:\ndefault_limits:",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_users passes its users",
    policy: "filters: {allowed_users: [video, live]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_users stops others",
    policy: "filters: {allowed_users: [video]}",
    expect: { because: "filters.allowed_users: expected video, found live (1001)" },
    failed: { filters: "filters.allowed_users" },
  },
  {
    name: "allowed_users stops a user without a name",
    policy: "filters: {allowed_users: [video]}",
    process: { user: undefined },
    expect: { because: "filters.allowed_users: expected video, found no name (1001)" },
  },
  {
    name: "blocked_users stops its users",
    policy: "filters: {blocked_users: [live]}",
    expect: { because: "filters.blocked_users: expected not live, found live (1001)" },
  },
  {
    name: "blocked_users passes others",
    policy: "filters: {blocked_users: [root]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_users stops an unknown user",
    policy: "filters: {blocked_users: [root]}",
    process: { uid: undefined, user: undefined },
    expect: { because: "filters.blocked_users: expected not root, found unknown" },
  },
  {
    name: "allowed_uids passes its uids",
    policy: "filters: {allowed_uids: [1000, 1001]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_uids stops others",
    policy: "filters: {allowed_uids: [1000]}",
    expect: { because: "filters.allowed_uids: expected 1000, found live (1001)" },
  },
  {
    name: "blocked_uids stops its uids",
    policy: "filters: {blocked_uids: [1001]}",
    expect: { because: "filters.blocked_uids: expected not 1001, found live (1001)" },
  },
  {
    name: "blocked_uids passes others",
    policy: "filters: {blocked_uids: [0]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_parents passes the children of a PID",
    policy: "filters: {allowed_parents: [812]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_parents stops the children of other PIDs",
    policy: "filters: {allowed_parents: [813]}",
    expect: { because: "filters.allowed_parents: expected 813, found nginx < systemd (parent 812)" },
  },
  {
    name: "allowed_parents passes the descendants of a command",
    policy: "filters: {allowed_parents: [nginx]}",
    process: { ancestors: ["sh", "nginx", "systemd"] },
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_parents stops the children of a PID",
    policy: "filters: {blocked_parents: [812]}",
    expect: { because: "filters.blocked_parents: expected not 812, found nginx < systemd (parent 812)" },
  },
  {
    name: "blocked_parents stops the descendants of a command",
    policy: "filters: {blocked_parents: [sshd]}",
    process: { ancestors: ["bash", "sshd", "systemd"] },
    expect: {
      because: "filters.blocked_parents: expected not sshd, found bash < sshd < systemd (parent 812)",
    },
  },
  {
    name: "min_runtime stops a younger process, and reports when to decide again",
    policy: "filters: {min_runtime: 5s}",
    process: { ageMs: 3200 },
    expect: { because: "filters.min_runtime: expected at least 5s, found 3.2s", retryInMs: 1800 },
  },
  {
    name: "min_runtime passes a process of exactly that age",
    policy: "filters: {min_runtime: 5s}",
    process: { ageMs: 5000 },
    expect: { target: "ffmpeg" },
  },
  {
    name: "another filter that a young process fails is final",
    policy: "filters: {min_runtime: 5s, blocked_users: [live]}",
    process: { ageMs: 1 },
    expect: { because: "filters.blocked_users: expected not live, found live (1001)" },
  },
  {
    name: "max_runtime stops an older process",
    policy: "filters: {max_runtime: 1m30s}",
    process: { ageMs: 91_000 },
    expect: { because: "filters.max_runtime: expected at most 1m30s, found 91s" },
  },
  {
    name: "max_runtime passes a younger process",
    policy: "filters: {max_runtime: 24h}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a runtime of 0 is none",
    policy: "filters: {min_runtime: 0, max_runtime: 0}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "runtimes release no job",
    policy: "filters: {max_runtime: 1s, min_runtime: 1h}",
    process: { isGoverned: true },
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_dirs includes everything below",
    policy: "filters: {allowed_dirs: [/srv]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "allowed_dirs compares whole components",
    policy: "filters: {allowed_dirs: [/srv/li]}",
    expect: { because: "filters.allowed_dirs: expected /srv/li, found /srv/live" },
  },
  {
    name: "allowed_dirs follows links",
    policy: "filters: {allowed_dirs: [/current]}",
    process: { links: { "/current": "/srv" } },
    expect: { target: "ffmpeg" },
  },
  {
    name: "blocked_dirs includes everything below",
    policy: "filters: {blocked_dirs: [/srv, /tmp]}",
    expect: { because: "filters.blocked_dirs: expected not /srv or /tmp, found /srv/live" },
  },
  {
    name: "blocked_dirs follows links",
    policy: "filters: {blocked_dirs: [/current/]}",
    process: { links: { "/current": "/srv/live" } },
    expect: { because: "filters.blocked_dirs: expected not /current/, found /srv/live" },
  },
  {
    name: "blocked_dirs passes others",
    policy: "filters: {blocked_dirs: [/tmp]}",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a directory that cannot be read passes no filter",
    policy: "filters: {blocked_dirs: [/tmp]}",
    process: { cwd: undefined },
    expect: { because: "filters.blocked_dirs: expected not /tmp, found unknown" },
  },
  {
    name: "a command's filters override the global ones key by key",
    policy:
      "filters: {min_runtime: 1h, blocked_users: [root]}\ncommands: {ffmpeg: {filters: {min_runtime: 10s}}}",
    expect: { target: "ffmpeg" },
    failed: { filters: undefined },
  },
  {
    name: "a command's filter is reported with its key in the file",
    policy: "filters: {min_runtime: 1s}\ncommands: {ffmpeg: {filters: {min_runtime: 2m}}}",
    expect: {
      because: "commands.ffmpeg.filters.min_runtime: expected at least 2m, found 60s",
      retryInMs: 60_000,
    },
  },
  {
    name: "an empty list of a command cancels a global filter",
    policy: "filters: {allowed_users: [video]}\ncommands: {ffmpeg: {filters: {allowed_users: []}}}",
    expect: { target: "ffmpeg" },
  },
]);
