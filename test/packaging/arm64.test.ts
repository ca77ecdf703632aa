import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { version } from "../../package.json";
import { buildExecutable, PLATFORMS, type Platform } from "../../scripts/release/platform.ts";
import { lacksCommand, testIf, useSandbox } from "../support/sandbox.ts";

/** The directory of Debian's libc6-arm64-cross. */
const LIBRARIES = "/usr/aarch64-linux-gnu";
const ELF_MACHINE_OFFSET = 18;
const EM_AARCH64 = 183;

const sandbox = useSandbox();
setDefaultTimeout(300_000);
const arm64 = PLATFORMS.find(({ debian }) => debian === "arm64") as Platform;

testIf(
  lacksCommand("npm") ??
    lacksCommand("qemu-aarch64-static") ??
    (existsSync(LIBRARIES) ? undefined : "needs libc6-arm64-cross"),
)("the executable for arm64 starts a workload, waits for it and returns its exit code", async () => {
  const executable = buildExecutable(arm64, sandbox().path("executables"));
  expect(readFileSync(executable).readUInt16LE(ELF_MACHINE_OFFSET)).toBe(EM_AARCH64);
  const emulated = ["qemu-aarch64-static", "-L", LIBRARIES, executable];
  const run = async (...args: string[]) => {
    const child = sandbox().spawn([...emulated, ...args]);
    return { text: await new Response(child.stdout as ReadableStream).text(), code: await child.exited };
  };
  expect(await run("--version")).toEqual({ text: `${version}\n`, code: 0 });
  expect(await run("run", "--job-id", "emulated", "--", "sh", "-c", "echo out; exit 7")).toEqual({
    text: "out\n",
    code: 7,
  });
  // The emulator refuses unknown system calls. A wrong number would make another call, and doctor would
  // notice.
  const report = JSON.parse((await run("doctor", "--json")).text) as { name: string; works: boolean }[];
  expect(report.find(({ name }) => name === "pidfd")?.works).toBe(true);
});
