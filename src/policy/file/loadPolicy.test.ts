import { describe, expect, it, test } from "bun:test";
import fc from "fast-check";
import { ANY_MACHINE } from "../../../test/support/decisions.ts";
import { toJsonSchema } from "./describe.ts";
import type { PolicyFault } from "./fault.ts";
import { loadPolicy } from "./loadPolicy.ts";

function faultsOf(text: string): PolicyFault[] {
  const loaded = loadPolicy(text, "policy.yaml", ANY_MACHINE);
  return "faults" in loaded ? loaded.faults : [];
}

/** `line:column key | text | message | right`. */
const shown = (text: string): string[] =>
  faultsOf(text).map((f) => `${f.line}:${f.column} ${f.key} | ${f.text} | ${f.message} | ${f.right}`);

test("a retention has an age and a size, each of which can be left out or unlimited", () => {
  const retentionOf = (text: string) => {
    const loaded = loadPolicy(text, "policy.yaml");
    return "policy" in loaded ? loaded.policy.retention : loaded.faults;
  };
  const GIB = 1024 ** 3;
  expect(retentionOf("retention: {max_age: 30d, max_size: 2GiB}")).toEqual({
    maxAgeMs: 2_592e6,
    maxBytes: 2 * GIB,
  });
  expect(retentionOf("retention: {max_age: unlimited}")).toEqual({
    maxAgeMs: Number.POSITIVE_INFINITY,
    maxBytes: undefined,
  });
  expect(retentionOf("scan_interval: 5s")).toEqual({ maxAgeMs: undefined, maxBytes: undefined });
});

describe("loadPolicy()", () => {
  it.each([
    ["rulez: []", '1:1 rulez | "rulez" | is not a known key | rules'],
    [
      "filters: {allowedUsers: [a]}",
      '1:11 filters.allowedUsers | "allowedUsers" | is not a known key | allowed_users',
    ],
    [
      "filters: {min-runtime: 1s}",
      '1:11 filters.min-runtime | "min-runtime" | is not a known key | min_runtime',
    ],
    [
      "tenants: {a: {nice: 1}}",
      '1:15 tenants.a.nice | "nice" | is not a known key | one of cpu_quota, cpu_max, cpu_weight, cpu_idle, memory_limit, memory_max, io_max, io_weight, pids_max, cpus',
    ],
    [
      "scan_interval: 10ms",
      '1:16 scan_interval | "10ms" | is not between 100ms and 24h | a time from 100ms to 24h, such as 10s',
    ],
    [
      "retention: {max_age: 30m}",
      '1:22 retention.max_age | "30m" | is less than 1h | a time of at least 1h, such as 90d, or unlimited',
    ],
    [
      "retention: {max_size: 5MiB}",
      '1:23 retention.max_size | "5MiB" | is less than 10MiB | a size of at least 10MiB, such as 1GiB, or unlimited',
    ],
    [
      "default_limits:\n  cpu_quota: -5",
      '2:14 default_limits.cpu_quota | "-5" | is not an amount of CPU time | CPU time: percent of a core (150, "150%") or "1.5 cores"; max for none',
    ],
    [
      "default_limits: {memory_max: 5 apples}",
      '1:30 default_limits.memory_max | "5 apples" | is not a size | a hard limit: a size such as 2GiB, or a number of bytes; max for none',
    ],
    [
      "default_limits: {nice: 20}",
      '1:24 default_limits.nice | "20" | is more than 19 | a whole number from -20 (favoured) to 19; max for none',
    ],
    [
      "default_limits: {cpus: 3-1}",
      '1:24 default_limits.cpus | "3-1" | is not a list of CPU numbers | a list of CPU numbers, such as 0-3,8; max for none',
    ],
    [
      "default_limits: {cpu_weight: 5, cpu_idle: 1}",
      '1:33 default_limits.cpu_idle | "cpu_idle" | takes the place of cpu_weight | one of the two',
    ],
    [
      "default_limits: {cpu_idle: 2}",
      '1:28 default_limits.cpu_idle | "2" | is more than 1 | 1 for CPU time that nothing else wants, 0 for a share as usual; max for none',
    ],
    [
      "intents: {}\nrules:\n- {name: a, match: {}, intent: batsh}",
      '3:32 rules[0].intent | "batsh" | has no limits in intents | batch',
    ],
    [
      "rules: [{name: a, match: {}, intent: recording}]\nintents:",
      '1:38 rules[0].intent | "recording" | has no limits in intents | live, batch or best-effort',
    ],
    [
      "intents: {bulk: {}}",
      '1:11 intents.bulk | "bulk" | is not a known key | one of live, batch, best-effort, governor, headroom',
    ],
    [
      "intents: {governor: maybe}",
      '1:21 intents.governor | "maybe" | is not valid | on, dry-run (only report what it would do) or off',
    ],
    [
      "intents: {governor: on, headroom: 10}",
      '1:35 intents.headroom | "10" | is not an amount of CPU time with its unit | a part of all CPUs or a number of them: "10%", "0.5 cores"',
    ],
    [
      "intents: {live: {cpu_weight: 0.5}}",
      '1:30 intents.live.cpu_weight | "0.5" | is not a whole number | a share of contended CPU from 1 to 10000; the default is 100; max for none',
    ],
    ["default_limits: [a]", '1:17 default_limits | "[a]" | is not valid | a mapping (key: value)'],
    [
      "filters: {blocked_dirs: [srv]}",
      '1:26 filters.blocked_dirs[0] | "srv" | is not a valid pattern: it is not an absolute path | an absolute directory, such as /srv/live; includes everything below it',
    ],
    [
      "filters: {allowed_uids: [x]}",
      '1:26 filters.allowed_uids[0] | "x" | is not valid | a whole number, such as 1001',
    ],
    [
      "filters: {allowed_uids: [-1]}",
      '1:26 filters.allowed_uids[0] | "-1" | is not an id | a whole number, such as 1001',
    ],
    [
      "target_commands: [/usr/bin/ffmpeg]",
      '1:19 target_commands[0] | "/usr/bin/ffmpeg" | contains a directory: to match a whole path, use exe | the name of a command without its directory, such as ffmpeg, or a pattern such as ffmpeg*',
    ],
    [
      "rules: [{name: a, match: {argv: '['}}]",
      '1:33 rules[0].match.argv | \'[\' | is not a valid pattern: "[" has no "]"; a literal "[" is written "\\[" | a pattern of the whole command line, such as "*rtmp://*"',
    ],
    [
      "filters: {min_runtime: [5s]}",
      '1:24 filters.min_runtime | "[5s]" | is not valid | a time such as 5s, 1m30s or 24h',
    ],
    [
      "rules: [{name: a, match: {user: {b: 1}}}]",
      '1:33 rules[0].match.user | "{b: 1}" | is not valid | a name, a pattern such as cust-*, or a number',
    ],
    [
      "rules: [{name: a, match: {user: []}}]",
      '1:33 rules[0].match.user | "[]" | is not valid | one value, or a list of at least one',
    ],
    [
      "rules: [{name: a, match: {exe: [/a, b]}}]",
      '1:37 rules[0].match.exe[1] | "b" | is not a valid pattern: it is not an absolute path | an absolute path, such as /opt/ffmpeg/bin/*; ** matches any number of directories',
    ],
    [
      "rules: [{name: a, match: {container: 7}}]",
      '1:38 rules[0].match.container | "7" | is not valid | a name, or a pattern such as cust-*',
    ],
    [
      "rules: [{name: a, match: {labels: {slurm_jobs: 17}}}]",
      '1:36 rules[0].match.labels.slurm_jobs | "slurm_jobs" | is not a known key | slurm_job',
    ],
    [
      "default_limits: {io_max: x}",
      '1:26 default_limits.io_max | "x" | has no rate | a device (8:0, or a path on it) with rates: "8:0 rbps=50MB/s wiops=500", or the keys device, rbps, wbps, riops, wiops',
    ],
    [
      "default_limits: {io_max: {device: 8:0, rbps: fast}}",
      '1:46 default_limits.io_max.rbps | "fast" | is not a size | bytes per second, such as 50MB/s, or max',
    ],
    [
      "default_limits: {io_max: [{rbps: 5M}]}",
      "1:27 default_limits.io_max[0].device |  | is missing | a device such as 8:0, or a path on it",
    ],
    [
      "default_limits: {cpu_quota: 0, cpu_max: 1000 1000}",
      '1:32 default_limits.cpu_max | "cpu_max" | sets the same limit as cpu_quota | one of the two',
    ],
    [
      "rules: [{name: a, match: {}, placement: here}]",
      '1:41 rules[0].placement | "here" | is not valid | auto, in-place, nested or scope',
    ],
    ["rules: [{match: {}}]", "1:9 rules[0].name |  | is missing | text of 1 to 128 characters on one line"],
    [
      "rules: [{name: a, match: {}}, {name: a, match: {}}]",
      '1:38 rules[1].name | "a" | is also the name of rules[0] | another name',
    ],
    [
      "rules: [{name: a, match: {}, ignore: true, tenant: x}]",
      '1:44 rules[0].tenant | "tenant" | has no effect in a rule with ignore | either ignore or tenant',
    ],
    [
      "default_limits: {cpu_quota: 1, cpu_max: '1000 1000'}",
      '1:32 default_limits.cpu_max | "cpu_max" | sets the same limit as cpu_quota | one of the two',
    ],
    ["a: 1\na: 2", '2:1 a | "a" | is a repeated key, first on line 1 | each key once'],
    ["filters:\n\tmin_runtime: 5s", "2:1  |  | the indentation contains a tab | spaces"],
    [
      "scan_interval: !!js/function x",
      '1:16  | "!!js/function" | is a tag, and tags have no meaning here | the value without the tag',
    ],
    ["a: 1\n---\nb: 2", '2:1  | "---\\nb: 2" | starts a second document | one document per file'],
    [
      "target_commands: *x",
      '1:18 target_commands | "*x" | refers to no earlier anchor | &x on an earlier value',
    ],
    ["target_commands: &x [*x]", '1:22 target_commands[0] | "*x" | contains itself | &x on an earlier value'],
    [
      "commands: {a/b: {}}",
      '1:12 commands.a/b | "a/b" | is not the name of a command | the name of a command without its directory, such as ffmpeg',
    ],
    [
      "tenants: {'': {}}",
      "1:11 tenants. | '' | is not the name of a tenant: it is empty | a name, or * for all others",
    ],
    ["__proto__: 1", '1:1  | "__proto__" | cannot be a key here | another name'],
    ["- a", '1:1  | "- a" | is not valid | a mapping (key: value)'],
  ])("reports a fault in %s", (text, expected) => {
    const cut = (line: string): string => line.replace('"---\\nb: 2"', '"--- …"');
    expect(shown(text)).toContain(cut(expected));
  });

  it("reports all faults at once, in the order of the file", () => {
    const text = "rulez: []\nfilters: {min_runtime: soon}\na: 1\na: 1\nrules:\n  - match: {}\n  - 7\n";
    expect(faultsOf(text).map(({ line }) => line)).toEqual([1, 2, 3, 4, 6, 7]);
  });

  it("rejects an empty file, which was most likely cut off", () => {
    for (const text of ["", "\n\n", "# nothing\n", "---\n", "~"]) {
      expect(faultsOf(text)).toMatchObject([{ message: "the file contains no policy" }]);
    }
    expect(faultsOf("{}")).toEqual([]);
  });

  it("accepts limits that are written once and used again", () => {
    const text =
      "default_limits: &d {nice: 3, pids_max: 9}\ncommands: {ffmpeg: {limits: {<<: *d, nice: 4}}, x: {limits: *d}}";
    const loaded = loadPolicy(text, "p");
    expect(loaded).toMatchObject({
      policy: { commands: [{ limits: { nice: 4, pidsMax: 9 } }, { limits: { nice: 3 } }] },
    });
  });

  it("survives aliases that multiply, depth, and very many keys", () => {
    const bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"];
    for (let i = 0; i < 12; i++) {
      const [before, name] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
      bomb.push(`${name}: &${name} [${`*${before},`.repeat(8)}*${before}]`);
    }
    expect(faultsOf(bomb.join("\n"))).toContainEqual(
      expect.objectContaining({ message: "expands to more than 200000 values" }),
    );
    const wide = `a: &a [${"x,".repeat(1000)}]\nb: [${"*a,".repeat(1000)}]`;
    expect(faultsOf(wide)).toContainEqual(
      expect.objectContaining({ line: 2, key: "b", message: "expands to more than 200000 values" }),
    );
    expect(faultsOf("[".repeat(5000)).length).toBeGreaterThan(0);
    expect(faultsOf(`${"[".repeat(500)}${"]".repeat(500)}`)).toContainEqual(
      expect.objectContaining({ message: "is nested too deeply" }),
    );
    // The check of the parser compares each with each, and takes minutes.
    const crowd = Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join("\n");
    expect(faultsOf(crowd)).toHaveLength(20_000);
  });

  it("never throws, and reports a line that exists", () => {
    const piece = fc.constantFrom(
      ..."rules|name|match|:| |\n|  |- |[|]|{|}|,|&a|*a|<<|\"|'|#|!x|%|@|\t|ffmpeg|filters|min_runtime|5s|limits|cpu_quota|max|~||tenants|---|\ud800|?".split(
        "|",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join("");
        for (const { line, column, message, right } of faultsOf(text)) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(text.split("\n").length);
          expect(column).toBeGreaterThanOrEqual(1);
          expect(message).not.toBe("");
          expect(right).not.toBe("");
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("values that are valid but most likely a mistake cause a warning", () => {
  const text =
    "tenants: {acme: {pids_max: 9}}\nrules: [{name: a, match: {}, tenant: acem}]\ncommands: {x264: {limits: {nice: 1}}}\ndefault_limits: {io_max: /nowhere rbps=1M}";
  const loaded = loadPolicy(text, "p", {
    ...ANY_MACHINE,
    findDisk: (device) => ({ reason: `${device} does not exist` }),
  });
  const warnings = "warnings" in loaded ? loaded.warnings : [];
  expect(warnings.map(({ line, message, right }) => [line, message, right])).toEqual([
    [2, "has no total: tenants does not list it", "acme"],
    [3, "has no effect: it is not a target command, and no rule names it", "add x264 to target_commands"],
    [
      4,
      "will be refused on this machine: /nowhere does not exist",
      "a disk that lsblk -d lists, or a path on one",
    ],
  ]);
});

test("the JSON Schema has the same keys, and every reference in it resolves", () => {
  const schema = toJsonSchema();
  const text = JSON.stringify(schema);
  const definitions = Object.keys((schema["$defs"] ?? {}) as object);
  for (const [, name] of text.matchAll(/"\$ref":"#\/\$defs\/([^"]+)"/g))
    expect(definitions).toContain(name as string);
  for (const key of ["scan_interval", "blocked_dirs", "placement", "io_max", "env"])
    expect(text).toContain(`"${key}"`);
  expect(schema).toMatchObject({ type: "object", additionalProperties: false });
});
