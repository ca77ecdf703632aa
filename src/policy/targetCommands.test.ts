import { NO_TARGET, SH, testDecisions } from "../../test/support/decisions.ts";

testDecisions("target commands", [
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
]);
