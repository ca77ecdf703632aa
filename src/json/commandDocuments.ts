import { z } from "zod";
import { bytes, described, resultSchema, text, time } from "../jobs/jsonSchemas.ts";
import { capacity } from "./capacitySchema.ts";
import { daemon, health, logged, logLine } from "./daemonSchemas.ts";
import { fleetJobJson, fleetResultJson, fleetRingJson, nodeJson } from "./fleetSchemas.ts";
import { inspected } from "./inspectedSchema.ts";
import { limitChanges, returned, started } from "./jobChangeSchemas.ts";
import { deviceUse, jobUse, listed, tenantUse } from "./jobUseSchemas.ts";
import { machineUse } from "./machineSchema.ts";
import { explained, planned, policyCheck } from "./policySchemas.ts";
import { fleetSla, slaRates } from "./slaSchemas.ts";

const check = z
  .strictObject({
    name: described(z.string(), "the feature"),
    works: described(z.boolean(), "the feature works on this machine with these rights"),
    found: described(z.string(), "a version, a path, or the reason why it does not work"),
    cost: described(z.string().optional(), "the consequence; absent where the feature works"),
  })
  .meta({ id: "Check", description: "The result of trying one feature." });

const pruned = z
  .strictObject({
    dry_run: described(z.boolean(), "nothing was deleted"),
    jobs: described(z.number(), "jobs deleted"),
    newest_end: time("the latest end among them; `null`: no job was deleted"),
    logs: described(z.number(), "log files deleted"),
    log_bytes: bytes("the size of these log files"),
    ledger_bytes_before: bytes("the part of the ledger that was in use before"),
    ledger_bytes_after: bytes("the part of the ledger that is in use afterwards"),
    ledger_bytes_free: bytes("the part of the ledger's file that is free for new jobs"),
    faults: described(z.array(z.string()), "what could not be deleted, with the reason"),
  })
  .meta({ id: "Pruned", description: "The history that was deleted." });

export interface JsonDocument {
  /** The command with `--json`, and the option that selects this document, if any. */
  command: string;
  option?: string;
  /** `lines`: one object a line, while the command runs. `stderr`: one object on a line of stderr. */
  form: "document" | "lines" | "stderr";
  schema: z.ZodType;
}

const remote = z
  .looseObject({ host: text("the machine, as `--on` names it") })
  .meta({ id: "Remote", description: "An object of another machine, with all keys that it has there." });

/** All documents that commands print. The first one that fits a command line is the one it prints. */
export const JSON_DOCUMENTS: readonly JsonDocument[] = [
  { command: "run", option: "--detach", form: "document", schema: started },
  // On stderr: stdout belongs to the workload.
  { command: "run", form: "stderr", schema: resultSchema },
  { command: "attach", option: "--policy", form: "document", schema: returned },
  { command: "attach", option: "--detach", form: "document", schema: started },
  { command: "attach", form: "document", schema: resultSchema },
  { command: "ps", option: "--on", form: "document", schema: z.array(remote) },
  { command: "ps", option: "--daemon", form: "document", schema: daemon.nullable() },
  { command: "ps", form: "document", schema: z.array(listed) },
  { command: "stats", option: "--on", form: "lines", schema: remote },
  { command: "stats", form: "lines", schema: z.union([jobUse, tenantUse, deviceUse, machineUse]) },
  { command: "capacity", form: "document", schema: capacity },
  { command: "inspect", form: "document", schema: inspected },
  { command: "history", option: "--on", form: "document", schema: z.array(remote) },
  { command: "history", option: "--sla", form: "document", schema: slaRates },
  { command: "wait", form: "lines", schema: resultSchema },
  { command: "events", form: "lines", schema: logLine },
  { command: "history", form: "document", schema: z.array(resultSchema) },
  { command: "watch", option: "--dry-run", form: "document", schema: z.array(planned) },
  { command: "detach", form: "document", schema: resultSchema },
  { command: "limits set", form: "document", schema: limitChanges },
  { command: "limits reset", form: "document", schema: limitChanges },
  { command: "prune", form: "document", schema: pruned },
  { command: "policy check", form: "document", schema: policyCheck },
  { command: "policy explain", option: "--all", form: "document", schema: z.array(explained) },
  { command: "policy explain", form: "document", schema: explained },
  { command: "health", option: "--on", form: "document", schema: z.array(remote) },
  { command: "health", form: "document", schema: health },
  { command: "watch", form: "lines", schema: logged },
  { command: "fleet ps", form: "document", schema: z.array(nodeJson) },
  { command: "fleet policy status", form: "document", schema: z.array(fleetRingJson) },
  { command: "fleet jobs", form: "document", schema: z.array(fleetJobJson) },
  { command: "fleet results", form: "document", schema: z.array(fleetResultJson) },
  { command: "fleet sla", form: "document", schema: fleetSla },
  { command: "doctor", form: "document", schema: z.array(check) },
];
