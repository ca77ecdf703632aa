import { expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { expectMessage, expectNothingDone, runScript } from "../support/badInput.ts";
import { FFRTMP, lacksCommand, lacksLimits, lacksRoot, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();

const BOMB = [
  "a: &a [x,x,x,x,x,x,x,x,x]",
  ..."bcdefghijkl".split("").map((name, index) => {
    const before = "abcdefghijk"[index];
    return `${name}: &${name} [${Array(9).fill(`*${before}`).join(",")}]`;
  }),
].join("\n");

/** Texts of policy files that are not valid, and the messages expected for each. */
const BAD_FILES: [name: string, text: string | Uint8Array, ...stderr: RegExp[]][] = [
  ["an empty file", "", /:1:1: the file contains no policy/, /expected: a policy; \{\}/],
  ["aliases that double", BOMB, /expands to more than 200000 values/],
  ["an alias of itself", "rules: &a [*a]", /:1:12: rules\[0\]: "\*a" contains itself/],
  ["tabs", "filters:\n\tmin_runtime: 5s\n", /:2:1: the indentation contains a tab/],
  [
    "repeated keys",
    "scan_interval: 5s\nscan_interval: 6s\n",
    /:2:1: scan_interval: .* is a repeated key, first on line 1/,
  ],
  [
    "values of the wrong type",
    "rules: 7\nfilters: []\ntarget_commands: ffmpeg\n",
    /:1:8: rules/,
    /:2:10: filters/,
    /:3:18: target_commands/,
  ],
  [
    "an unknown key",
    "target_comands: [a]\n",
    /:1:1: target_comands: .* is not a known key/,
    /expected: target_commands/,
  ],
  ["no UTF-8", new Uint8Array([0x61, 0x3a, 0x0a, 0xff, 0xfe]), /is not UTF-8 text: line 2 is not valid/],
  [
    "no UTF-8 after a byte order mark",
    new Uint8Array([0xef, 0xbb, 0xbf, 0x61, 0x3a, 0x0a, 0xff]),
    /line 2 is not valid/,
  ],
  ["UTF-16", new Uint8Array([0xff, 0xfe, 0x61, 0, 0x3a, 0]), /is not UTF-8 text/],
  ["depth", "[".repeat(5000), /cannot be used: \d+ errors/],
  ["zeros", new Uint8Array(100), /cannot be used/],
];

for (const [name, text, ...stderr] of BAD_FILES) {
  test(`policy check reports ${name}`, async () => {
    const file = sandbox().path("policy.yaml");
    writeFileSync(file, text);
    const ended = await sandbox().run(["policy", "check", file]);
    expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
    expectMessage(ended.stderr, stderr);
  });
}

test("policy check rejects a file of the wrong type or size without reading it", async () => {
  const { directory } = sandbox();
  mkdirSync(`${directory}/folder`);
  const large = openSync(`${directory}/large`, "w");
  ftruncateSync(large, 50_000_000);
  closeSync(large);
  Bun.spawnSync(["mkfifo", `${directory}/pipe`]);
  symlinkSync("loop", `${directory}/loop`);
  for (const [file, stderr] of [
    [`${directory}/folder`, /folder is a directory/],
    [`${directory}/large`, /large has 50000000 bytes; the maximum is 1048576/],
    [`${directory}/pipe`, /pipe is not a regular file/],
    ["/dev/zero", /\/dev\/zero is not a regular file/],
    [`${directory}/loop`, /loop cannot be opened: ELOOP/],
    [`${directory}/none`, /none does not exist/],
    [`${directory}/folder/none`, /none does not exist/],
  ] as const) {
    const ended = await sandbox().run(["policy", "check", file]);
    expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
    expectMessage(ended.stderr, [stderr]);
  }
});

testIf(lacksRoot() ?? lacksCommand("setpriv"))(
  "policy check reports a file that it cannot read",
  async () => {
    const file = sandbox().path("policy.yaml");
    writeFileSync(file, "{}");
    chmodSync(file, 0o600);
    chmodSync(sandbox().directory, 0o755);
    const script = `exec setpriv --reuid 65534 --regid 65534 --clear-groups "$F" policy check ${file}`;
    const { code, stdout, stderr } = await runScript(sandbox(), script);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expectMessage(stderr, [/policy\.yaml cannot be read by this user \(EACCES\)/]);
  },
);

test("a byte order mark and Windows line endings are accepted", async () => {
  const file = sandbox().path("policy.yaml");
  writeFileSync(file, "\ufeffscan_interval: 5s\r\nrules:\r\n  - name: a\r\n    match: {}\r\n");
  expect(await sandbox().run(["policy", "check", file])).toEqual({
    code: 0,
    stdout: `${file} is valid: 1 rule, 0 tenants\n`,
    stderr: "",
  });
});

test("policy check --json reports the faults to programs", async () => {
  const file = sandbox().path("policy.yaml");
  writeFileSync(file, "rulez: []\n");
  const ended = await sandbox().run(["policy", "check", file, "--json"]);
  expect(ended.code).toBe(2);
  expect(JSON.parse(ended.stdout)).toEqual({
    path: file,
    valid: false,
    unreadable: null,
    faults: [
      {
        line: 1,
        column: 1,
        key: "rulez",
        text: '"rulez"',
        message: "is not a known key",
        right: "rules",
      },
    ],
    warnings: [],
  });
});

testIf(lacksCommand("strace"))("a file that changes while it is read is rejected", async () => {
  const file = sandbox().path("policy.yaml");
  writeFileSync(file, "{}\n");
  // Each read takes a tenth of a second. Meanwhile only the time of the file changes.
  const slow = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", file, "-e", "inject=read:delay_enter=100000"];
  const check = sandbox().spawn([...slow, FFRTMP, "policy", "check", file]);
  const errors = new Response(check.stderr as ReadableStream).text();
  while (check.exitCode === null && check.signalCode === null) {
    writeFileSync(file, "{}\n", { flag: "r+" });
    await Bun.sleep(5);
  }
  expect(await errors).toContain("changed while it was being read: try again");
  expect(check.exitCode).toBe(2);
});

test("a policy file that is replaced while it is read is read completely or not at all", async () => {
  const file = sandbox().path("policy.yaml");
  const script = `
    printf 'rules: [{name: a, match: {}}]\\n' >a; printf '{}\\n' >b; cp a ${file}
    (for i in $(seq 200); do cp a c; mv c ${file}; cp b c; mv c ${file}; rm -f ${file}; done) &
    for i in $(seq 20); do "$F" policy check ${file} 2>&1; done; wait`;
  const { stdout } = await runScript(sandbox(), script);
  for (const line of stdout.trim().split("\n")) {
    expect(line).toMatch(/is valid: [01] rules?, 0 tenants$|does not exist$/);
  }
});

test("patterns that would make another matcher backtrack without end are decided at once", async () => {
  const file = sandbox().path("policy.yaml");
  const evil = `${"*a".repeat(300)}*b`;
  writeFileSync(
    file,
    `rules:\n  - name: evil\n    match: {command: "*", argv: "${evil}", cwd: "/**/${"*a".repeat(200)}/**/x"}\n`,
  );
  const child = sandbox().spawn(["sh", "-c", "read line", "a".repeat(30_000)], { stdin: "pipe" });
  const explained = await sandbox().json([
    "policy",
    "explain",
    "--pid",
    `${child.pid}`,
    "--watch-config",
    file,
  ]);
  expect(explained).toMatchObject({ govern: false, steps: [{ subject: "evil", matches: false }, {}] });
});

test("policy explain reports why a process is not governed, and changes nothing", async () => {
  const file = sandbox().path("policy.yaml");
  const { name, path } = sandbox().program("sleep");
  writeFileSync(
    file,
    `rules:\n  - name: others\n    match: {command: ${name}, user: nobody}\n  - name: mine\n    match: {command: ${name}, cwd: ${sandbox().directory}}\n    ignore: true\n`,
  );
  const child = sandbox().spawn([path, "600"], { cwd: sandbox().directory });
  const { code, stdout, stderr } = await sandbox().run([
    "policy",
    "explain",
    "--pid",
    `${child.pid}`,
    "--watch-config",
    file,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/others +no +match\.user: wants nobody, and it is /);
  expect(stdout).toMatch(/mine +yes/);
  expect(stdout).toMatch(/verdict +leave alone: rule mine ignores the process/);
  expect(sandbox().cgroups()).toEqual([]);
});

testIf(lacksLimits())("policy explain predicts the writes of watch", async () => {
  const file = sandbox().path("policy.yaml");
  const { name, path } = sandbox().program("sleep");
  writeFileSync(
    file,
    `target_commands: [${name}]\ndefault_limits: {cpu_quota: 150, pids_max: 50, memory_max: 1GiB}\nrules:\n  - name: a\n    match: {}\n    tenant: t\ntenants: {t: {cpu_quota: 100}}\n`,
  );
  const child = sandbox().spawn([path, "600"]);
  const explain = ["policy", "explain", "--pid", `${child.pid}`, "--watch-config", file];
  const explained = await sandbox().json(explain);
  expect(explained).toMatchObject({ govern: true, decision: { rule: "a", tenant: "t" } });
  expect(sandbox().cgroups()).toEqual([]);
  const once = await sandbox().run(["watch", "--once", "--watch-config", file]);
  expect(once.code).toBe(0);
  const { cgroups, limits } = await sandbox().json(["inspect", explained.job_id]);
  expect([...explained.would.cgroups].sort()).toEqual([...cgroups].sort());
  const printed = new Map(
    explained.would.outcomes.map((each: { limit: string; of?: string }) => [
      `${each.of} ${each.limit}`,
      each,
    ]),
  );
  for (const outcome of limits as { limit: string; of?: string; wanted: string; actual: string }[]) {
    const { wanted, actual } = printed.get(`${outcome.of} ${outcome.limit}`) as typeof outcome;
    expect([outcome.limit, wanted, actual]).toEqual([outcome.limit, outcome.wanted, outcome.actual]);
  }
  expect((await sandbox().run(explain)).stdout).toMatch(
    /verdict +already governed as \S+ \(state directory \/.*\)/,
  );
});

test("policy explain requires a process, and reports when it does not exist", async () => {
  const file = sandbox().path("policy.yaml");
  writeFileSync(file, "{}");
  for (const [args, ...stderr] of [
    [["--watch-config", file], /no process given/, /try: ffrtmp policy explain --pid N, or --all/],
    [["--watch-config", file, "--pid", "4194304"], /process 4194304 does not exist/],
    [["--watch-config", sandbox().path("none"), "--all"], /cannot use the policy: .*none does not exist/],
    [["--watch-config", file, "--pid", "0"], /process 0 does not exist/],
  ] as [string[], ...RegExp[]][]) {
    const ended = await sandbox().run(["policy", "explain", ...args]);
    expect({ ...ended, stderr: "" }).toEqual({ code: 2, stdout: "", stderr: "" });
    expectMessage(ended.stderr, stderr);
  }
  await expectNothingDone(sandbox());
  const { code, stdout } = await sandbox().run(["policy", "explain", "--all", "--watch-config", file]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ +PID +COMMAND +GOVERN +RULE +TENANT +WHY\n/);
});
