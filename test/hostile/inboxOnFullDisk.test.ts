import { expect } from "bun:test";
import { join } from "node:path";
import { lacksCommand, lacksRoot, testIf, useSandbox } from "../support/sandbox.ts";

const sandbox = useSandbox();
const program = join(import.meta.dir, "../support/programs/inboxOnFullDisk.ts");

testIf(lacksRoot() ?? lacksCommand("unshare"))(
  "on a full disk a launch is refused or continues in the ledger, and nothing of it is lost",
  async () => {
    const state = sandbox().path("state");
    const script = `mkdir "$1" && mount -t tmpfs -o size=1m,mode=750 none "$1" && exec "$2" "$3" "$1"`;
    const child = sandbox().spawn(
      ["unshare", "--mount", "sh", "-c", script, "sh", state, process.execPath, program],
      { stderr: "pipe" },
    );
    const [out, err] = await Promise.all([
      new Response(child.stdout as ReadableStream).text(),
      new Response(child.stderr as ReadableStream).text(),
    ]);
    expect({ code: await child.exited, err }).toEqual({ code: 0, err: "" });
    const facts = JSON.parse(out);
    expect(facts).toMatchObject({
      // -ENOSPC; the file that was created before the write is gone again.
      createdOnFullDisk: -28,
      continued: "running",
      waiting: true,
      found: [{ isSame: true, state: "running" }],
      seenByOthers: ["starting"],
      flushed: 0,
      resultWritten: "folded",
      ended: "ended",
      seenAtLast: [facts.pid],
      namesAtLast: [],
    });
    expect(facts.appended).toHaveProperty("failed");
    expect(facts.namesOnFullDisk).toHaveLength(1);
    expect(facts.messages).toEqual([
      expect.stringMatching(/^cannot write the ledger .*full.*kept in memory only/),
    ]);
  },
);
