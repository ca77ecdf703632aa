import { Option } from "commander";
import type { SchedulingChoice } from "../daemon/daemonScheduling.ts";
import type { LogLevel } from "../daemon/logLevel.ts";
import type { EventChoice } from "../linux/events/bestEvents.ts";
import { MAX_AGE, MAX_SIZE, parseMaxAge, parseMaxSize } from "../policy/retentionValues.ts";
import { parseScanInterval, SCAN_INTERVAL } from "../policy/scanInterval.ts";
import type { CommandDefinition } from "./commandDefinition.ts";
import { addPlacementOption, addStateOption } from "./options/jobOptions.ts";
import { addLimitOptions } from "./options/limitOptions.ts";
import { optionValue, parseCommandNames, parsePid, size, wholeNumber } from "./options/optionValue.ts";

/** The daemon. */
export const WATCH_COMMAND: CommandDefinition = {
  description: "find workloads, govern them and record how they end, until stopped",
  define: (command) =>
    addPlacementOption(addStateOption(addLimitOptions(command)))
      .option(
        "--scan-interval <time>",
        "set the interval between full process scans (default: from the policy, or 5s)",
        optionValue(SCAN_INTERVAL, parseScanInterval),
      )
      .option(
        "--watch-config <file>",
        "read the policy from this file (default: /etc/ffrtmp/policy.yaml, unless targets or limits are given)",
      )
      .addOption(fleetConfigOption())
      .option(
        "--target <name>",
        "govern processes of this command; repeatable, or several with commas (default: ffmpeg, gst-launch-1.0)",
        (text: string, earlier: string[] = []) => [...earlier, ...parseCommandNames(text)],
      )
      .addOption(
        new Option(
          "--events <source>",
          "select how to notice new processes; polling: only by scans, without kernel events",
        )
          .choices(["auto", "polling"] satisfies EventChoice[])
          .default("auto"),
      )
      .addOption(
        new Option("--event-buffer <size>", "set the size of the kernel's buffer for process events")
          .argParser(size(4096))
          .default(8 * 1024 ** 2, "8M"),
      )
      .option(
        "--retention-max-age <time>",
        "delete jobs that ended longer ago (default: from the policy, or 90d)",
        optionValue(MAX_AGE, (text) => parseMaxAge(text)),
      )
      .option(
        "--retention-max-size <size>",
        "delete the oldest jobs while the ledger and the logs take more (default: from the policy, or 1GiB)",
        optionValue(MAX_SIZE, (text) => parseMaxSize(text)),
      )
      .addOption(
        new Option("--log-level <level>", "log events up to this level")
          .choices(["error", "warn", "info", "debug"] satisfies LogLevel[])
          .default("info" satisfies LogLevel)
          .env("FFRTMP_LOG_LEVEL"),
      )
      .option(
        "--listen <address>",
        "serve metrics for Prometheus at /metrics and a JSON API at /api/v1 of this address, such as 127.0.0.1:9797; without --token-file, every local user can read them",
      )
      .option(
        "--token-file <file>",
        "answer only HTTP requests with the token in this file: Authorization: Bearer TOKEN",
      )
      .option(
        "--metrics-max-jobs <n>",
        "export this many jobs one by one, and the others as a sum (default: 500)",
        wholeNumber(0, 100_000),
      )
      .option("--tls-cert <file>", "encrypt with the certificate in this file (PEM, with its chain)")
      .option("--tls-key <file>", "the private key of --tls-cert (PEM)")
      .addOption(
        new Option(
          "--scheduling <policy>",
          "realtime: govern new processes ahead of busy programs; unchanged: as watch was started",
        )
          .choices(["realtime", "unchanged"] satisfies SchedulingChoice[])
          .default("realtime" satisfies SchedulingChoice),
      )
      .option("--no-probe", "do not run ffprobe for the length of the files that jobs read")
      .option("--json", "log events as JSON, one object on each line of stdout; with --dry-run, print JSON")
      .option("--once", "scan once, govern what is found, and exit")
      .option("--dry-run", "print what would be governed, and change nothing")
      .addOption(withoutEffect("--enable-state [bool]", "state is always kept"))
      .addOption(withoutEffect("--state-flush-interval <time>", "each change is written at once"))
      .addOption(withoutEffect("--enable-retry [bool]", "processes are always tried again"))
      .addOption(withoutEffect("--max-retry-attempts <n>", "the number of attempts has no limit")),
  load: async () => (await import("./commands/watch.ts")).watch,
};

/** Commands that only `ffrtmp watch` runs. */
export const WATCH_HELPERS: Record<string, CommandDefinition> = {
  "run-hooks": {
    description: "run the commands of on_end, for ffrtmp watch",
    isHidden: true,
    define: (command) => command.argument("<tag>"),
    load: async () => (await import("../daemon/hookRunner.ts")).runHooks,
  },
  meter: {
    description: "measure network, media time and GPUs of jobs, for ffrtmp watch",
    isHidden: true,
    define: (command) => command.option("--no-probe", "do not run ffprobe"),
    load: async () => (await import("../daemon/meter/meter.ts")).runMeter,
  },
};

/** Without it, only the daemon with the state directory of root follows the fleet of its machine. */
function fleetConfigOption(): Option {
  return new Option(
    "--fleet-config <file>",
    "follow the fleet of the node that this file configures (default: /etc/ffrtmp/fleet/node.yaml, for /var/lib/ffrtmp)",
  );
}

/** The subcommands of `policy`, which show what `ffrtmp watch` would do. */
export const POLICY_COMMANDS: Record<string, CommandDefinition> = {
  check: {
    description: "list all errors and likely mistakes in a policy file, each with the expected value",
    define: (command) =>
      command
        .argument("[file]", "policy file (default: /etc/ffrtmp/policy.yaml)")
        .option("--strict", "exit with 2 for a valid file with warnings too")
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/policyCheck.ts")).checkPolicy,
  },
  explain: {
    description: "show which rule matches a process, why the others do not, and what would be changed",
    define: (command) =>
      addStateOption(command)
        .addOption(
          new Option("-p, --pid <pid>", "explain the decision about this process")
            .argParser(parsePid)
            .conflicts("all"),
        )
        .option("--all", "list the decisions about all processes, one line each")
        .addOption(
          new Option(
            "--file <file>",
            "read the policy from this file (default: /etc/ffrtmp/policy.yaml)",
          ).conflicts("watchConfig"),
        )
        .option("--watch-config <file>", "the same as --file, as for ffrtmp watch")
        .addOption(fleetConfigOption())
        .option("--json", "print JSON"),
    load: async () => (await import("./commands/policyExplain.ts")).explainPolicy,
  },
};

/** An option of the older tool, for command lines and units that name it. */
function withoutEffect(flags: string, because: string): Option {
  return new Option(flags, because).helpGroup("Accepted for compatibility, without effect:");
}
