import { connection, silentSeconds } from "./connection.ts";
import type { Snapshot } from "./data.ts";
import { durationText, memoryText, percentText, timeText } from "./format.ts";
import { useShared } from "./shared.ts";

/** As wide as a digit, so that 9 % and 10 % leave the rest where it is. */
const FIGURE_SPACE = "\u2007";

/** The state of the machine and of all jobs in one line. */
export function Summary({ snapshot }: { snapshot: Snapshot }) {
  const { counts, sla, machine, gpus } = snapshot;
  const { memory_total_bytes: total, memory_available_bytes: available } = machine;
  const used = total === null || available === null ? null : total - available;
  return (
    <ul class="summary" aria-label="Summary">
      <li>
        <b>{counts.running}</b> {counts.running === 1 ? "job" : "jobs"}
      </li>
      {counts.hindered !== null && (
        <li class={counts.hindered > 0 ? "warn" : ""}>
          <b>{counts.hindered}</b> hindered
        </li>
      )}
      <li>
        SLA, 24 h <b>{sla.overall.rate_percent === null ? "–" : `${sla.overall.rate_percent} %`}</b>
      </li>
      <li>
        CPU <b>{percentText(machine.cpu_busy_percent).padStart(4, FIGURE_SPACE)}</b> of {machine.cpu_count} ·
        waiting <b>{percentText(machine.cpu_pressure_percent)}</b>
      </li>
      <li>
        memory <b>{memoryText(used)}</b> of {memoryText(total)} · waiting{" "}
        <b>{percentText(machine.memory_pressure_percent)}</b>
      </li>
      <li>
        disks waiting <b>{percentText(machine.io_pressure_percent)}</b>
      </li>
      {gpus.map((gpu) => (
        <li key={gpu.index}>
          GPU {gpu.index} <b>{percentText(gpu.sm_percent)}</b> · encoder{" "}
          <b>{percentText(gpu.encoder_percent)}</b> · decoder <b>{percentText(gpu.decoder_percent)}</b> ·{" "}
          <b>{memoryText(gpu.memory_bytes)}</b> of {memoryText(gpu.memory_total_bytes)}
        </li>
      ))}
    </ul>
  );
}

/** A mark beside the name of the machine: whether what is shown is the present, and otherwise how old it is. */
export function Liveness() {
  const { kind } = useShared(connection);
  const seconds = useShared(silentSeconds);
  if (kind === "live") return <span class="live good">● live</span>;
  if (kind === "connecting") return <span class="live">○ connecting</span>;
  return <span class="live bad">○ {durationText(seconds)} old</span>;
}

/** Says that the data are old, and why. The text does not change each second, because a screen reader says it each time. */
export function OldData({ snapshot }: { snapshot: Snapshot | undefined }) {
  const state = useShared(connection);
  const reason =
    state.kind === "silent"
      ? "ffrtmp watch does not answer"
      : state.kind === "lost"
        ? state.reason
        : undefined;
  return (
    <div role="alert">
      {reason !== undefined && (
        <p class="notice bad">
          <b>
            {snapshot ? `These figures are old, of ${timeText(snapshot.time)}` : "There are no figures yet"}:
          </b>{" "}
          {reason}. This page tries again by itself.
        </p>
      )}
    </div>
  );
}
