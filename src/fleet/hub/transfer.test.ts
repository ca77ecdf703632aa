import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { StreamTransfer } from "./transfer.ts";

const MODULE = resolve(import.meta.dir, "transfer.ts");
/** So many that removing them takes a while. */
const FILES = 20_000;

test("what was saved is there as a whole or not at all, whenever its removal is killed", async () => {
  const root = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  const directory = join(root, "transfer");
  mkdirSync(directory);
  for (let index = 0; index < FILES; index++) writeFileSync(join(directory, String(index)), "");
  const transfer = new StreamTransfer(directory);
  transfer.probe = "seed";
  const isWhole = () => transfer.exists && existsSync(join(directory, "0"));
  const script = `const { StreamTransfer } = await import(${JSON.stringify(MODULE)}); new StreamTransfer(${JSON.stringify(directory)}).end();`;
  const child = Bun.spawn([process.execPath, "--eval", script], { stdout: "ignore", stderr: "inherit" });
  while (isWhole() && existsSync(join(directory, `${FILES - 1}`)) && child.exitCode === null)
    await Bun.sleep(1);
  child.kill("SIGKILL");
  await child.exited;
  expect(transfer.exists).toBe(false);
  // The rest goes with the next removal.
  transfer.end();
  expect(existsSync(`${directory}.ended`)).toBe(false);
  rmSync(root, { recursive: true });
});
