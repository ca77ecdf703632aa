import { expect, test } from "bun:test";
import {
  callsIn,
  callsInSection,
  manualExamples,
  prepareExamples,
  runExample,
  runSession,
  sessionIn,
  shapeOf,
  unexecutedExamples,
  unknownWords,
} from "../support/examples.ts";
import { lacksCommand, lacksLimits, testIf, useSandbox } from "../support/sandbox.ts";

// The examples of the documents, executed as an operator would type them.

const sandbox = useSandbox();
const testExample = testIf(lacksLimits() ?? lacksCommand("ffmpeg"));

testExample.each(manualExamples())("the example of %s works: %s", async (_, line) => {
  const place = prepareExamples(sandbox());
  const { isExpected, code, output } = await runExample(sandbox(), place, line);
  expect({ isExpected, code, output }).toEqual({ isExpected: true, code, output });
  expect(output).not.toMatch(/error|unknown option/i);
});

testExample.each(callsInSection("docs/operating.md", "Daily questions"))(
  "the answer to a daily question works: %s",
  async (line) => {
    const box = sandbox();
    const place = prepareExamples(box);
    // A state with everything that is asked for: jobs that run, one that failed, and a daemon.
    const daemon = box.start(["watch", "--target", box.program("sleep").name], { stdout: "ignore" });
    await (daemon.stderr as ReadableStream).getReader().read();
    await box.startJob("asked", ["--tenant", "acme", "--cpu-quota", "50"], ["sleep", "1000"]);
    await box.run(["run", "--job-id", "failed", "--sla-eligible", "--", "false"]);
    const { isExpected, code, output } = await runExample(box, place, line);
    expect({ isExpected, code, output }).toEqual({ isExpected: true, code, output });
    expect(output).toMatch(
      ANSWERS[line.split(" ").slice(1, 3).join(" ")] ?? ANSWERS[line.split(" ")[1] as string] ?? /^$/,
    );
  },
);

/** A part of each answer. */
const ANSWERS: Record<string, RegExp> = {
  ps: /JOB.*\n(.*\n)*.*asked/,
  stats: /asked(.*\n)+.*acme/,
  "history --failed": /failed +.* failed/,
  "history --sla": /\(all\) +1 +1/,
  events: /started +asked/,
  "policy explain": /verdict +(already governed|govern) as/,
  health: /healthy|degraded|warning/i,
  doctor: /upgrade of ffrtmp +yes +/,
};

test.each([
  "docs/fleet.md",
  "docs/fleet-policy.md",
  "docs/fleet-dispatch.md",
  "docs/fleet-results.md",
  "README.md",
])("the calls in %s name commands and options that exist", (document) => {
  const calls = callsIn(document);
  expect(calls.length).toBeGreaterThan(0);
  expect(calls.filter((call) => unknownWords(call).length > 0)).toEqual([]);
});

test("the examples that are not executed name commands and options that exist", () => {
  const examples = unexecutedExamples();
  expect(examples.length).toBeGreaterThan(10);
  expect(examples.filter((line) => unknownWords(line).length > 0)).toEqual([]);
  // The check itself finds both.
  expect(unknownWords("ffrtmp fleet accept --slot 4")).toEqual(["--slot"]);
  expect(unknownWords("ffrtmp fleet list")).toEqual(["ffrtmp fleet list"]);
});

test("there are examples of the commands that are used most", () => {
  const pages = new Set(manualExamples().map(([page]) => page));
  for (const name of ["run", "attach", "watch"]) expect(pages).toContain(`ffrtmp ${name}`);
});

testExample("the session in README.md prints what it shows", async () => {
  const steps = sessionIn("README.md", "A session");
  expect(steps.length).toBeGreaterThan(4);
  const printed = await runSession(sandbox(), prepareExamples(sandbox(), 4), steps);
  const shown = steps.map((step) => step.printed.map(shapeOf));
  expect(printed.map((lines, index) => [steps[index]?.command, ...lines])).toEqual(
    shown.map((lines, index) => [steps[index]?.command, ...lines]),
  );
});
