import { parseCpuList } from "../../limits/grammar.ts";
import { INTENTS, intentLimits } from "../../limits/intents.ts";
import { combineLayers, type LimitLayer, mergeLayers } from "../../limits/limits.ts";
import { commandIs, tenantIsKnown } from "../conditions.ts";
import { DEFAULT_HOOK_TIMEOUT_MS } from "../endHook.ts";
import { DEFAULT_HEADROOM, type GovernorPolicy } from "../governor.ts";
import { exactName, namesOf } from "../namePattern.ts";
import { type CommandEntry, DEFAULT_TARGETS, type Policy, type Rule } from "../policy.ts";
import { type Compiled, compileFilters, compileMatch } from "./conditionKeys.ts";
import { type LimitWords, toLayer } from "./limitsSchema.ts";
import type { Machine } from "./machine.ts";
import { nearest } from "./nearest.ts";
import type { PolicyWords } from "./schema.ts";

/** Reports a value that is valid but most likely a mistake. */
export type Warn = (at: PropertyKey[], message: string, right: string) => void;

export function compilePolicy(
  words: PolicyWords,
  path: string,
  machine: Pick<Machine, "findDisk" | "cpus" | "hasDiskPriority">,
  warn: Warn,
): Policy {
  const targets = words.target_commands?.length ? words.target_commands : DEFAULT_TARGETS.map(exactName);
  const isTarget = commandIs("target_commands", targets);
  const filters = words.filters ?? {};

  /** Warns of a missing disk or CPU: where a mount failed, the other limits apply, and the outcome reports it. */
  function layerOf(section: LimitWords, ...at: PropertyKey[]): LimitLayer {
    const layer = toLayer(section);
    const asked = layer.cpus === "max" ? [] : (parseCpuList(layer.cpus ?? "") ?? []);
    const online = asked.length === 0 ? undefined : machine.cpus();
    const present = parseCpuList(online ?? "");
    if (present && !asked.some((cpu) => present.includes(cpu))) {
      const message = "will be refused on this machine, which has none of these CPUs";
      warn([...at, "cpus"], message, `CPUs of ${online}`);
    }
    if (layer.ioMax === undefined || layer.ioMax === "max") return layer;
    const ioMax = layer.ioMax.map((max, index) => {
      const found = machine.findDisk(max.device);
      if ("device" in found) return { ...max, device: found.device };
      const message = `will be refused on this machine: ${found.reason}`;
      warn([...at, "io_max", index], message, "a disk that lsblk -d lists, or a path on one");
      return max;
    });
    return { ...layer, ioMax };
  }

  const hasDiskPriority = machine.hasDiskPriority?.() ?? false;
  const hasIntents = words.intents !== undefined;
  const intents = new Map(
    INTENTS.map((intent) => [
      intent as string,
      combineLayers(
        intentLimits(intent, hasDiskPriority),
        layerOf(words.intents?.[intent], "intents", intent),
      ),
    ]),
  );
  const commands = Object.entries(words.commands ?? {}).map(
    ([name, command]): CommandEntry => ({
      name: exactName(name),
      limits: layerOf(command?.limits, "commands", name, "limits"),
      filters: command?.filters
        ? compileFilters(filters, command.filters, `commands.${name}.filters`)
        : undefined,
    }),
  );
  const matches = new Map<string, Compiled>();
  const rules = (words.rules ?? []).map(({ match, ignore = false, labels, limits, ...rule }, index): Rule => {
    const isForTargets = match.command === undefined && match.exe === undefined;
    const conditions = compileMatch(match, matches);
    // A rule about a user is about the user's targets, not about the user's shell.
    if (isForTargets) conditions.unshift(isTarget);
    if (rule.tenant) conditions.push(tenantIsKnown("tenant", rule.tenant));
    return {
      ...rule,
      conditions,
      commands: match.command ?? (isForTargets ? targets : []),
      ignore,
      intentLimits: hasIntents ? intents.get(rule.intent ?? "") : undefined,
      limits: layerOf(limits, "rules", index, "limits"),
      labels: labels ?? {},
    };
  });
  const tenants = new Map(
    Object.entries(words.tenants ?? {}).map(([name, totals]) => [
      name,
      mergeLayers(layerOf(totals, "tenants", name)),
    ]),
  );
  const otherTenants = tenants.get("*");
  tenants.delete("*");
  shareConditions(rules);
  const policy: Policy = {
    path,
    scanIntervalMs: words.scan_interval,
    retention: { maxAgeMs: words.retention?.max_age, maxBytes: words.retention?.max_size },
    onEnd: words.on_end && {
      command: words.on_end,
      timeoutMs: words.on_end_timeout ?? DEFAULT_HOOK_TIMEOUT_MS,
    },
    targets,
    isTarget,
    rules,
    defaults: layerOf(words.default_limits, "default_limits"),
    commands,
    filters: compileFilters(filters, {}, "filters"),
    tenants,
    otherTenants,
    hasIntents,
    governor: governorOf(words.intents),
    ...(words.fleet === "ignore" ? { ignoresFleet: true } : {}),
  };
  if (words.intents?.headroom !== undefined && policy.governor === undefined)
    warn(["intents", "headroom"], "has no effect without a governor", "governor: on");
  warnOfTenants(policy, warn);
  warnOfCommands(policy, warn);
  return policy;
}

function governorOf(intents: PolicyWords["intents"]): GovernorPolicy | undefined {
  const { governor: mode = "off", headroom = DEFAULT_HEADROOM } = intents ?? {};
  return mode === "off" ? undefined : { mode, headroom };
}

/** Gives an index to each condition that several rules share. */
function shareConditions(rules: readonly Rule[]): void {
  const conditions = rules.flatMap((rule) => rule.conditions);
  const uses = Map.groupBy(conditions, (condition) => condition);
  const shared = [...uses].filter(([, { length }]) => length > 1);
  for (const [index, [condition]] of shared.entries()) condition.shared = index;
}

function warnOfTenants({ rules, tenants, otherTenants }: Policy, warn: Warn): void {
  if (tenants.size === 0 || otherTenants !== undefined) return;
  for (const [index, { tenant }] of rules.entries()) {
    if (tenant === undefined || tenant.text.includes("{") || tenants.has(tenant.text)) continue;
    const near = nearest(tenant.text, tenants.keys()) ?? [...tenants.keys()].join(", ");
    warn(["rules", index, "tenant"], "has no total: tenants does not list it", near);
  }
}

function warnOfCommands({ commands, targets, rules }: Policy, warn: Warn): void {
  // A rule about executables may apply to any command.
  if (rules.some((rule) => rule.commands.length === 0)) return;
  const patterns = [...targets, ...rules.flatMap((rule) => rule.commands)];
  for (const { text } of commands.map(({ name }) => name)) {
    const names = namesOf(text.slice(0, 15), text, text);
    if (patterns.some((pattern) => pattern.find(names) !== undefined)) continue;
    const message = "has no effect: it is not a target command, and no rule names it";
    warn(["commands", text], message, `add ${text} to target_commands`);
  }
}
