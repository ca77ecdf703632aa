import type { HealthProblem } from "../../daemon/status.ts";
import { formatDuration } from "../../jobs/duration.ts";
import { Refusal } from "../../jobs/errors.ts";
import { oneLine } from "../../sys/visibleText.ts";
import type { CommonFlags } from "../options/jobOptions.ts";
import { printJson, printOut } from "../output/messages.ts";
import { openToRead } from "../session.ts";
import { type AskedStatus, askStatus, SILENCE } from "./psDaemon.ts";

/** The exit codes of Nagios plugins, which other monitoring systems use too. 3 is also for a wrong command line. */
const HEALTH_CODES = { healthy: 0, degraded: 1, unhealthy: 2 } as const;
const HEALTH_UNKNOWN = 3;

type Health = keyof typeof HEALTH_CODES;

/** Asks the daemon for its state, and prints one line for a monitoring system. */
export async function health(flags: CommonFlags): Promise<number> {
  try {
    const context = openToRead(flags);
    const asked = await askStatus(context);
    context.ledger.close();
    const problems = asked.answers ? asked.status.problems : [silence(asked, context.ledger.path)];
    const state = stateOf(problems);
    const { status = null, answers } = asked;
    if (flags.json) printJson({ health: state, problems, daemon: status && { ...status, answers } });
    else printOut(oneLine(`${state}: ${textOf(problems, asked)}`));
    return HEALTH_CODES[state];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (flags.json) {
      const problem: HealthProblem = { severity: "critical", kind: "unknown", text: error.message };
      printJson({ health: "unknown", problems: [problem], daemon: null });
    } else printOut(oneLine(`unknown: ${error.message}`));
    return HEALTH_UNKNOWN;
  }
}

function stateOf(problems: HealthProblem[]): Health {
  if (problems.some(({ severity }) => severity === "critical")) return "unhealthy";
  return problems.length > 0 ? "degraded" : "healthy";
}

function silence({ status, reason }: AskedStatus & { answers: false }, ledger: string): HealthProblem {
  const ended = {
    running: SILENCE[reason],
    stopped: `ffrtmp watch was stopped at ${status?.stopped_at}`,
    died: "ffrtmp watch was killed or crashed",
  };
  const text = status ? ended[status.state] : `no ffrtmp watch has used ${ledger}`;
  return { severity: "critical", kind: status?.state === "running" ? "no-answer" : "not-running", text };
}

function textOf(problems: HealthProblem[], asked: AskedStatus): string {
  if (problems.length > 0) return problems.map(({ text }) => text).join("; ");
  if (!asked.answers) return "";
  const { pid, since, jobs, event_source: source } = asked.status;
  const uptime = formatDuration(Math.max(0, Date.now() - Date.parse(since ?? "")));
  return `ffrtmp watch (PID ${pid}) has run for ${uptime} and observes ${jobs} jobs; events: ${source}`;
}
