import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatFor, type MetricFamily, renderMetrics } from "./exposition.ts";

const PROMETHEUS = formatFor(null);
const OPEN_METRICS = formatFor("application/openmetrics-text");

const FAMILIES: MetricFamily[] = [
  { name: "jobs", type: "gauge", help: "Jobs.", samples: [{ labels: { tenant: "a" }, value: 2 }] },
  { name: "ends", type: "counter", help: "Ends\nof jobs.", samples: [{ value: 3 }] },
  { name: "unknown", type: "gauge", help: "Nothing is known.", samples: [] },
];

test("a family without a sample is left out, and counters end in _total", () => {
  expect(renderMetrics(FAMILIES, PROMETHEUS)).toBe(
    [
      "# HELP jobs Jobs.",
      "# TYPE jobs gauge",
      'jobs{tenant="a"} 2',
      "# HELP ends_total Ends\\nof jobs.",
      "# TYPE ends_total counter",
      "ends_total 3",
      "",
    ].join("\n"),
  );
});

test("OpenMetrics names a counter without _total, and has an end", () => {
  const text = renderMetrics(FAMILIES, OPEN_METRICS);
  expect(text).toContain("# TYPE ends counter\nends_total 3\n");
  expect(text).toEndWith("\n# EOF\n");
});

test("the format is the one that the client prefers", () => {
  const both = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
  expect(formatFor(both)).toBe(OPEN_METRICS);
  expect(formatFor("application/openmetrics-text;q=0.2, text/plain;q=0.9")).toBe(PROMETHEUS);
  for (const accept of [null, "", "*/*", "text/html", "application/openmetrics-text;q=0"])
    expect(formatFor(accept)).toBe(PROMETHEUS);
});

test("any label value and any number can be read back", () => {
  const label = fc.string({ unit: fc.constantFrom("a", '"', "\\", "\n", "{", "}", ",", "=", "é", " ") });
  fc.assert(
    fc.property(label, fc.double(), (value, number) => {
      const text = renderMetrics(
        [{ name: "x", type: "gauge", help: "X.", samples: [{ labels: { l: value }, value: number }] }],
        PROMETHEUS,
      );
      const [, , line = "", ...rest] = text.split("\n");
      expect(rest).toEqual([""]);
      const [, quoted = "", digits = ""] = /^x\{l="((?:[^"\\]|\\.)*)"\} (\S+)$/.exec(line) ?? [];
      const unescaped = quoted.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
      expect(unescaped).toBe(value);
      expect(Number(digits.replace("Inf", "Infinity"))).toBe(number === 0 ? 0 : number);
    }),
  );
});
