import { expect, test } from "bun:test";
import {
  manualExamples,
  prepareExamples,
  runExample,
  runSession,
  sessionIn,
  shapeOf,
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
