import { NO_TARGET, SH, testDecisions } from "../../test/support/decisions.ts";

testDecisions("target commands", [
  {
    name: "an empty policy governs the default commands",
    policy: "{}",
    expect: { target: "ffmpeg", limits: {} },
  },
  {
    name: "gst-launch-1.0 is a default command",
    policy: "{}",
    process: { argv: ["gst-launch-1.0"], executable: "/usr/bin/gst-launch-1.0" },
    expect: { target: "gst-launch-1.0" },
  },
  {
    name: "an empty policy governs no other command",
    policy: "{}",
    process: SH,
    expect: { because: NO_TARGET },
    failed: { target_commands: "target_commands" },
  },
  {
    name: "target_commands replaces the defaults",
    policy: "target_commands: [x264]",
    expect: { because: NO_TARGET },
  },
  {
    name: "an empty target_commands means the defaults",
    policy: "target_commands: []",
    expect: { target: "ffmpeg" },
  },
  {
    name: "a target matches the name that the kernel has cut off",
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
