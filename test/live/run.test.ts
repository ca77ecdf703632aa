import { expect } from "bun:test";
import { testIf, useSandbox } from "./sandbox.ts";

const sandbox = useSandbox();

testIf(undefined)("run passes the command's exit code on", async () => {
  for (const code of [0, 1, 42, 125]) {
    const { code: passedOn } = await sandbox().run(["run", "--", "sh", "-c", `exit ${code}`]);
    expect(passedOn).toBe(code);
  }
});
