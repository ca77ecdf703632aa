import { decide, explain } from "../src/policy/decide.ts";
import type { ProcessFacts } from "../src/policy/facts.ts";
import { loadPolicy } from "../src/policy/file/loadPolicy.ts";
import type { Policy } from "../src/policy/policy.ts";
import { factsOf } from "../test/support/facts.ts";
import { type Benchmark, progress } from "./lib/benchmark.ts";
import { median } from "./lib/statistics.ts";
import { markdownTable, target } from "./lib/table.ts";

const RULES = 1000;
const PROCESSES = 5000;
const LEAST_PER_SECOND = 1000;

/** Measures the decisions about all processes of a large machine under a long policy. */
export const policy: Benchmark = {
  title: `Policy: ${RULES} rules, ${PROCESSES} processes`,
  needs: {},
  async run({ quick }) {
    const rounds = quick ? 2 : 7;
    const crowd = Array.from({ length: PROCESSES }, (_, index) => factsOfCustomer(index));
    const rows: (string | number)[][] = [];
    let slowest = Number.POSITIVE_INFINITY;
    for (const [name, text] of Object.entries(policies())) {
      progress(name);
      const loadMs = medianMs(rounds, () => load(text));
      const policy = load(text);
      const matched = crowd.filter((facts) => decide(policy, facts).govern).length;
      const decideMs = medianMs(rounds, () => {
        for (const facts of crowd) decide(policy, facts);
      });
      const explainMs = medianMs(1, () => {
        for (const facts of crowd.slice(0, 100)) explain(policy, facts);
      });
      const perSecond = (PROCESSES * 1000) / decideMs;
      slowest = Math.min(slowest, perSecond);
      rows.push([
        name,
        matched,
        Math.round(perSecond).toLocaleString("en"),
        ((decideMs * 1000) / PROCESSES).toFixed(1),
        ((explainMs * 1000) / 100).toFixed(0),
        loadMs.toFixed(0),
      ]);
    }
    return [
      markdownTable(
        ["rules by", "governed", "decisions per second", "µs each", "µs explained", "ms to load"],
        rows,
      ),
      "",
      target(
        `at least ${LEAST_PER_SECOND.toLocaleString("en")} decisions per second: ${Math.round(slowest).toLocaleString("en")}`,
        slowest >= LEAST_PER_SECOND,
      ),
    ].join("\n");
  },
};

/** Policies with the same number of rules. A process has to pass all rules of other customers. */
function policies(): Record<string, string> {
  const rules = (match: (index: number) => string): string =>
    `rules:\n${Array.from(
      { length: RULES },
      (_, index) =>
        `  - name: customer-${index}\n    match: ${match(index)}\n    tenant: customer-${index}\n    limits: {cpu_quota: 150, memory_max: 2GiB}\n`,
    ).join("")}`;
  return {
    command: rules((index) => `{command: encoder-${index}}`),
    user: rules((index) => `{command: "*", user: customer-${index}}`),
    directory: rules((index) => `{command: "*", cwd: /srv/customers/${index}}`),
    "directory pattern": rules((index) => `{command: "*", cwd: "/srv/*/${index}"}`),
    "command line": rules((index) => `{command: "*", argv: "*rtmp://*/${index}/*"}`),
    "everything at once": rules(
      (index) =>
        `{command: "enc*", parent: nginx, user: "customer-*", cwd: /srv/customers, argv: "*rtmp://*/${index}/*"}`,
    ),
  };
}

function factsOfCustomer(index: number): ProcessFacts {
  const customer = index % (RULES * 2);
  return factsOf({
    pid: 1000 + index,
    argv: [
      `encoder-${customer}`,
      ..."-re -i /srv/in.mp4 -c:v libx264 -preset veryfast -b:v 3M -f flv".split(" "),
      `rtmp://ingest.example/${customer}/live`,
    ],
    executable: `/opt/encoders/encoder-${customer}`,
    uid: 10_000 + customer,
    user: `customer-${customer}`,
    cwd: `/srv/customers/${customer}`,
  });
}

function load(text: string): Policy {
  const loaded = loadPolicy(text, "policy.yaml");
  if ("faults" in loaded) throw new Error(JSON.stringify(loaded.faults.slice(0, 3)));
  return loaded.policy;
}

function medianMs(rounds: number, act: () => unknown): number {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    act();
    times.push(performance.now() - from);
  }
  return median(times);
}
