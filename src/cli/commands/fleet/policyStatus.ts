import type { z } from "zod";
import type { FleetDirectory } from "../../../fleet/hub/fleetDirectory.ts";
import { readPolicies, type StoredPolicy } from "../../../fleet/hub/ringPolicies.ts";
import { listRollout, type NodeRollout } from "../../../fleet/hub/rollout.ts";
import { Refusal } from "../../../jobs/errors.ts";
import type { fleetRingJson } from "../../../json/fleetSchemas.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printErr, printJson, printOut } from "../../output/messages.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { tableWidth } from "../../output/terminal.ts";
import { type TimeFlags, type TimeStyle, tableTimes } from "../../output/times.ts";
import type { FleetFlags } from "./init.ts";
import { readReports } from "./operator.ts";
import { timeText } from "./ps.ts";
import { withHub } from "./session.ts";

interface StatusFlags extends FleetFlags, TimeFlags {
  key?: string;
  json?: boolean;
  trunc?: boolean;
}

type RingJson = z.input<typeof fleetRingJson>;

/** Shows the policy of each ring, and what its nodes made of it. */
export async function showPolicyStatus(flags: StatusFlags): Promise<number> {
  const rings = await withHub(flags, async (connection, directory) => {
    const publicKey = publicKeyOf(directory, flags.key);
    const nodes = await readReports(connection, directory);
    const latest = new Map(
      (await readPolicies(connection, publicKey ?? "")).map((policy) => [policy.ring, policy]),
    );
    const ofNodes = nodes.flatMap(({ report }) => report?.ring ?? []);
    return [...new Set([...latest.keys(), ...ofNodes])].sort().map((ring) => {
      const policy = latest.get(ring);
      const wanted = policy?.body ?? { ring, serial: 0, percent: 100, sha256: "" };
      const known = publicKey === undefined ? null : (policy?.isOwn ?? null);
      return describeRing(
        ring,
        policy,
        known,
        listRollout({ ...wanted, digest: policy?.digest ?? "" }, nodes),
      );
    });
  });
  if (flags.json) printJson(rings);
  else printTable(rings, flags);
  return 0;
}

function describeRing(
  ring: string,
  policy: StoredPolicy | undefined,
  isOwn: boolean | null,
  nodes: readonly NodeRollout[],
): RingJson {
  const { body, key = null, atMs } = policy ?? {};
  return {
    ring,
    serial: body?.serial ?? null,
    percent: body?.percent ?? null,
    sha256: body?.sha256 ?? null,
    pushed_at: atMs === undefined ? null : new Date(atMs).toISOString(),
    by: body?.by ?? null,
    expires: body?.not_after ?? null,
    is_expired: body === undefined ? null : Date.parse(body.not_after) < Date.now(),
    signed_by: key,
    is_own: isOwn,
    nodes: nodes.map((node) => (body === undefined ? { ...node, state: "waiting" } : node)),
  };
}

/** The key may be on another machine. Then it is not known whether it has signed a policy. */
function publicKeyOf(directory: FleetDirectory, file: string | undefined): string | undefined {
  try {
    return directory.signingKey("policy", file).publicKey;
  } catch (error) {
    if (!(error instanceof Refusal) || file !== undefined) throw error;
    return undefined;
  }
}

function printTable(rings: readonly RingJson[], flags: StatusFlags): void {
  printOut(renderTable(columns(tableTimes(flags)), [...rings], tableWidth(flags)));
  if (rings.length === 0) printErr("ffrtmp: no ring has a policy\n  try: ffrtmp fleet policy push FILE");
  for (const { ring, nodes, is_own: isOwn, is_expired: isExpired, signed_by: key } of rings) {
    if (isOwn === false)
      printErr(oneLine(`ring ${ring}: another key has signed the last policy: ${key ?? "none"}`));
    if (isExpired)
      printErr(oneLine(`ring ${ring}: its policy has expired, and no further node begins to use it`));
    for (const { node, state, why } of nodes)
      if (why !== null) printErr(oneLine(`${node} (${ring}): ${state}: ${why}`));
  }
}

function columns(style: TimeStyle): Column<RingJson>[] {
  const count = (...states: RingJson["nodes"][number]["state"][]) => ({
    right: true,
    text: ({ nodes }: RingJson) => String(nodes.filter(({ state }) => states.includes(state)).length),
  });
  return [
    { heading: "RING", text: ({ ring }) => ring },
    { heading: "SERIAL", right: true, text: ({ serial }) => serial?.toString() ?? "-" },
    { heading: "SHARE", right: true, text: ({ percent }) => (percent === null ? "-" : `${percent} %`) },
    { heading: "PUSHED", yields: 3, text: ({ pushed_at: at }) => timeText(at, style, Date.now()) },
    { heading: "BY", yields: 2, flexible: true, text: ({ by }) => by ?? "-" },
    { heading: "NODES", right: true, text: ({ nodes }) => String(nodes.length) },
    { heading: "APPLIED", ...count("applied") },
    { heading: "WAITING", ...count("waiting") },
    { heading: "REFUSED", ...count("refused", "unsupported") },
    { heading: "UNSELECTED", yields: 1, ...count("unselected") },
    { heading: "IGNORED", yields: 4, ...count("ignored") },
    { heading: "SILENT", yields: 5, ...count("silent") },
  ];
}
