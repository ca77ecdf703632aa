import { z } from "zod";

const count = z.number().int().nonnegative();

/** The state of one node. Unknown keys are those of a later release. A key that is absent is not known to the agent. */

const liveJob = z.object({
  job: z.string(),
  key: z.string(),
  pid: z.number().int().nullable(),
  mode: z.enum(["run", "attach", "watch"]),
  state: z.enum(["starting", "running"]),
  /** When governing started, in ISO 8601; `null`: it has not. */
  since: z.string().nullable(),
  /** The PID of the ffrtmp that will record the end; `null`: none. */
  observer: z.number().int().nullable(),
  /** The names of the limits by their outcome. */
  limits: z.object({
    applied: z.array(z.string()),
    partial: z.array(z.string()),
    refused: z.array(z.string()),
    unsupported: z.array(z.string()),
  }),
  intent: z.string().nullable(),
  tenant: z.string().nullable(),
  labels: z.record(z.string(), z.string()),
  /** The command with its secrets masked. Absent without `--with-commands`. */
  command: z.array(z.string()).optional(),
});

export const nodeMessage = z.object({
  v: z.literal(1),
  node: z.string(),
  /** `null` where the ledger cannot be read: see `fault`. */
  ledger_id: z.string().nullable(),
  boot_id: z.string(),
  /** The release of the agent. */
  ffrtmp: z.string(),
  /** The time of the node, in ISO 8601. The time in the stream is that of the hub. */
  at: z.string(),
  labels: z.record(z.string(), z.string()),
  pools: z.array(z.string()),
  machine: z.object({
    cpus: count,
    /** Bytes; `null`: unknown. */
    mem: count.nullable(),
    kernel: z.string(),
    cgroup: z.enum(["v1", "v2", "hybrid", "none"]),
  }),
  /** The last `ffrtmp watch` of the ledger; `null`: none. */
  watch: z.object({ state: z.enum(["running", "stopped", "died"]), since: z.string() }).nullable(),
  /** The ring of policies that the node belongs to. */
  ring: z.string().optional(),
  /** Why it claims no jobs; `null`: it may. `node`: root of the machine has decided so, `fleet`: an operator. */
  cordoned: z
    .object({ from: z.enum(["node", "fleet"]), by: z.string(), reason: z.string() })
    .nullable()
    .optional(),
  /** The highest serial of a document about it that it has accepted; 0: none. */
  desired: count.optional(),
  /** The policy of the fleet, as its `ffrtmp watch` has it: FleetPolicyReport. `null`: it follows no fleet, or none has run. */
  policy: z
    .object({
      ring: z.string(),
      in_force_ring: z.string().nullable(),
      serial: z.number().int().nullable(),
      highest: z.number().int(),
      sent: z.string().nullable(),
      state: z.enum(["none", "applied", "refused", "unsupported", "ignored", "unselected"]),
      why: z.string().nullable(),
    })
    .nullable()
    .optional(),
  outbox: z.object({
    /** The last number that the ledger has given. */
    seq: count,
    /** The last number that the hub has confirmed; `null`: not known yet. */
    sent: count.nullable(),
    /** When the first job ended whose result waits, in ms since the epoch; `null`: none waits. */
    oldest_ms: z.number().int().nullable(),
    /** `diverged`: the ledger was cloned or restored, and its results are not accepted. `failing`: see `why`. */
    state: z.enum(["current", "sending", "diverged", "failing"]),
    why: z.string().nullable(),
  }),
  /** The jobs that are starting or running, the oldest first; at most 200, and `more` others. */
  jobs: z.array(liveJob),
  more: count,
  /** The eligible jobs that ended since a time, about a day ago. */
  totals: z.object({
    since: z.string(),
    jobs: count,
    compliant: count,
    violations: z.record(z.string(), count),
  }),
  /** The jobs of the fleet that it takes at once. `null`: it takes none. Absent in reports of earlier releases. */
  capacity: z
    .object({
      slots: count,
      free: count,
      /** The attempts that it has claimed and that have not ended, or about whose claims the hub has not answered. */
      claimed: count,
    })
    .nullable()
    .optional(),
  /**
   * The state of dispatch on the node. `off`: root has not allowed it. `refused`, `failing`, `cordoned`: see `why`. Absent in
   * reports of earlier releases.
   */
  dispatch: z
    .object({
      state: z.enum(["off", "pulling", "full", "cordoned", "refused", "failing"]),
      why: z.string().nullable(),
    })
    .optional(),
  /**
   * The jobs of the fleet that root of the node allows: the pools, and the names of its templates, of which `more` are left out.
   * `null`: none. Absent in reports of earlier releases.
   */
  accepts: z
    .object({
      pools: z.array(z.string()),
      templates: z.array(z.string()),
      more: count,
      /** Also templates from the hub that an operator has signed. */
      signed_templates: z.boolean(),
    })
    .nullable()
    .optional(),
  /**
   * The attempts that it has claimed, ended ones too, and when it saw last, by its own clock, that the hub has these claims; `null`:
   * not since the start of the agent. Absent in reports of earlier releases.
   */
  claims: z.object({ known: count, confirmed: z.string().nullable() }).optional(),
  /** Why the ledger cannot be read; `null`: it can. Then the keys that are read from it are empty. */
  fault: z.string().nullable(),
});

export type LiveJob = z.input<typeof liveJob>;
export type NodeMessage = z.input<typeof nodeMessage>;
