import { expect, setDefaultTimeout } from "bun:test";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { version } from "../../package.json";
import { builtRelease, lacksReleaseTools, releasedFile } from "../support/packaging/builtRelease.ts";
import { lacksCommand, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const releaseTest = testIf(lacksReleaseTools());
const lintianTest = testIf(lacksReleaseTools() ?? lacksCommand("lintian"));
setDefaultTimeout(300_000);

releaseTest("every file of the release has a correct checksum", () => {
  const directory = builtRelease();
  const checked = Bun.spawnSync(["sha256sum", "--check", "SHA256SUMS"], { cwd: directory });
  expect({ code: checked.exitCode, stderr: checked.stderr.toString() }).toEqual({ code: 0, stderr: "" });
  const named = checked.stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => line.replace(": OK", ""));
  const files = [...new Bun.Glob("*").scanSync(directory)].filter(
    (name) => name !== "SHA256SUMS" && name !== "built-from",
  );
  expect(named.sort()).toEqual(files.sort());
});

lintianTest("lintian finds no error in the Debian package", () => {
  const deb = releasedFile("_amd64.deb");
  const { stdout, stderr } = Bun.spawnSync(["lintian", "--no-cfg", "--allow-root", "--show-overrides", deb]);
  // An unused override counts as an error too, because it could hide one.
  expect(stdout.toString().match(/^(E|W): .*(?:mismatched|unused)-override.*|^E: .*$/gm) ?? []).toEqual([]);
  expect(stdout.toString()).toContain("O: ffrtmp: unstripped-binary-or-object");
  expect(stderr.toString()).toBe("");
});

releaseTest("the same sources give the same package, byte for byte", () => {
  const [first, second] = [1, 2].map((attempt) => {
    const directory = sandbox().path(`repeated-${attempt}`);
    const script = `import { packLauncher } from "./scripts/release/npmPackages.ts";
      import { readRelease } from "./scripts/release/version.ts";
      import { writeSbom } from "./scripts/release/sbom.ts";
      import { PLATFORMS } from "./scripts/release/platform.ts";
      console.log(packLauncher(readRelease(), { stage: ${JSON.stringify(`${directory}/stage`)}, directory: ${JSON.stringify(directory)} }));
      console.log(await writeSbom(readRelease(), PLATFORMS, ${JSON.stringify(directory)}));`;
    const made = Bun.spawnSync([process.execPath, "-e", script]);
    expect(made.stderr.toString()).toBe("");
    return made.stdout
      .toString()
      .trim()
      .split("\n")
      .map((path) => readFileSync(path).toString("latin1"));
  });
  expect(second?.length).toBe(2);
  expect(second).toEqual(first);
});

releaseTest("the SBOM lists every bundled package, and the runtime", async () => {
  const sbom = JSON.parse(readFileSync(releasedFile(".cdx.json"), "utf8"));
  const listed = sbom.components.map(({ name }: { name: string }) => name);
  const built = await Bun.build({
    entrypoints: ["src/main.ts", "src/linux/events/epollWorker.ts"],
    target: "bun",
    metafile: true,
  });
  const inputs = Object.keys(built.metafile?.inputs ?? {});
  const bundled = inputs.flatMap((path) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []);
  expect(new Set(bundled)).toContain("commander");
  expect([...bundled, "@oven/bun-linux-x64"].filter((name) => !listed.includes(name))).toEqual([]);
  expect(listed).not.toContain("typescript");
  expect(sbom.metadata.component).toMatchObject({ name: "ffrtmp", version });
});

releaseTest(
  "npx runs the executable from the packed files in an empty directory, without a network",
  async () => {
    const launcher = releasedFile(`ffrtmp-${version}.tgz`);
    const platform = releasedFile(`ffrtmp-linux-x64-${version}.tgz`);
    // With --prefix, because npm would otherwise use a package.json of a directory further up.
    const cwd = sandbox().directory;
    const env = { npm_config_cache: sandbox().path("npm-cache"), npm_config_update_notifier: "false" };

    const alone = sandbox().spawn(["npx", "--offline", "--yes", "-p", platform, "ffrtmp", "--version"], {
      cwd,
      env,
    });
    expect(await new Response(alone.stdout as ReadableStream).text()).toBe(`${version}\n`);

    const installed = sandbox().spawn(
      ["npm", "install", "--prefix", ".", "--offline", "--no-audit", "--no-fund", platform, launcher],
      {
        cwd,
        env,
      },
    );
    const fault = await new Response(installed.stderr as ReadableStream).text();
    expect({ code: await installed.exited, fault }).toMatchObject({ code: 0 });
    const run = sandbox().spawn(
      ["npx", "--prefix", ".", "--offline", "ffrtmp", "run", "--", "sh", "-c", "echo out; exit 7"],
      {
        cwd,
        env,
      },
    );
    expect(await new Response(run.stdout as ReadableStream).text()).toBe("out\n");
    expect(await run.exited).toBe(7);
  },
);

releaseTest("the launcher of the npm package replaces itself with the executable", async () => {
  const root = sandbox().path("packages");
  for (const file of [
    releasedFile(`ffrtmp-${version}.tgz`),
    releasedFile(`ffrtmp-linux-x64-${version}.tgz`),
  ]) {
    const directory = `${root}/${basename(file).replace(/-[\d.]+tgz$/, "")}`;
    const script = 'mkdir -p "$1" && tar -xzf "$2" -C "$1" --strip-components=1';
    expect(Bun.spawnSync(["sh", "-c", script, "sh", directory, file]).exitCode).toBe(0);
  }
  const launcher = `${root}/ffrtmp/bin/ffrtmp`;
  const parent = sandbox().spawn([launcher, "run", "--job-id", "launched", "--", "sleep", "1000"]);
  const pid = await sandbox().pidOf("launched");
  sandbox().adopt(pid);
  expect((await sandbox().json(["inspect", "launched"])).observer_pid).toBe(parent.pid);

  const alone = sandbox().spawn(["sh", "-c", `rm -r "${root}/ffrtmp-linux-x64" && "${launcher}" ps`]);
  const message = await new Response(alone.stderr as ReadableStream).text();
  expect(await alone.exited).toBe(125);
  expect(message).toContain("ffrtmp-linux-x64 is not installed");
});

releaseTest("the tarball can be extracted over /usr/local", () => {
  const file = releasedFile("-linux-amd64.tar.gz");
  const root = sandbox().path("local");
  const script = 'mkdir "$1" && tar -xzf "$2" -C "$1" --strip-components=1 && "$1/bin/ffrtmp" --version';
  const printed = Bun.spawnSync(["sh", "-c", script, "sh", root, file]);
  expect(printed.stdout.toString()).toBe(`${version}\n`);
  const paths = [...new Bun.Glob("**").scanSync(root)];
  for (const path of [
    "share/man/man1/ffrtmp.1.gz",
    "share/man/man5/ffrtmp-json.5.gz",
    "share/man/man5/ffrtmp-policy.5.gz",
    "share/doc/ffrtmp/policy.yaml",
    "share/doc/ffrtmp/policy.md",
    "share/ffrtmp/dashboard.json",
    "share/ffrtmp/ffrtmp.rules.yml",
    "share/ffrtmp/policy.schema.json",
    "share/ffrtmp/exec-filter.conf",
    "share/ffrtmp/metering.conf",
    "share/doc/ffrtmp/copyright",
    "lib/systemd/system/ffrtmp-fleet-agent.service",
    "lib/systemd/system/ffrtmp-fleet-runner.service",
  ])
    expect(paths).toContain(path);
  for (const path of paths.filter((each) => each.startsWith("lib/systemd/")))
    expect(readFileSync(`${root}/${path}`, "utf8")).not.toContain("/usr/bin/ffrtmp");
});

releaseTest("the Debian package and the npm package have the manual of the policy file", () => {
  const deb = Bun.spawnSync(["dpkg-deb", "--contents", releasedFile("_amd64.deb")]).stdout.toString();
  expect(deb).toContain("./usr/share/man/man5/ffrtmp-policy.5.gz");
  expect(deb).toContain("./usr/share/man/man1/ffrtmp-policy.1.gz");
  const root = sandbox().path("npm");
  const script = 'mkdir "$1" && tar -xzf "$2" -C "$1" --strip-components=1';
  Bun.spawnSync(["sh", "-c", script, "sh", root, releasedFile(`ffrtmp-${version}.tgz`)]);
  const { man } = JSON.parse(readFileSync(`${root}/package.json`, "utf8"));
  expect(man).toContain("./man/ffrtmp-policy.5");
  for (const path of man) expect(readFileSync(`${root}/${path}`, "utf8")).toStartWith(".\\");
});
