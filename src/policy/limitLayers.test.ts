import { CORE, testDecisions } from "../../test/support/decisions.ts";

testDecisions("limits of a policy", [
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
    name: "a target that no rule matches has the defaults",
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
    name: "max cancels a limit of a more general section",
    policy:
      "default_limits: {cpu_quota: 100, memory_max: 1GiB}\nrules: [{name: a, match: {}, limits: {cpu_max: max 100000, memory_max: max}}]",
    expect: { limits: {} },
  },
  {
    name: "sizes and rates may have units",
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
]);
