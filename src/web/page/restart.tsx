import { useEffect } from "preact/hooks";
import type { Snapshot } from "./data.ts";
import { timeText } from "./format.ts";
import { Shared, useShared } from "./shared.ts";

interface Start {
  readonly time: string | null;
  readonly pid: number;
  readonly version: string;
}

/** The daemon that the page saw first, or whose start it has said and the reader has seen. */
const known = new Shared<Start | undefined>(undefined);

/** Says that another daemon answers than before: its counts begin again, and the page can be that of an older release. */
export function Restarted({ snapshot }: { snapshot: Snapshot }) {
  const { daemon_start_time: time, daemon_pid: pid, ffrtmp_version: version } = snapshot;
  useEffect(() => {
    known.value ??= { time, pid, version };
  }, [time, pid, version]);
  const before = useShared(known);
  const isOther = before !== undefined && (before.time !== time || before.pid !== pid);
  return (
    <div role="status">
      {isOther && (
        <p class="notice">
          ffrtmp watch was restarted at {timeText(time)}.{" "}
          {before.version === version ? (
            <button
              type="button"
              onClick={() => {
                known.value = { time, pid, version };
              }}
            >
              Close
            </button>
          ) : (
            <button type="button" onClick={() => location.reload()}>
              Reload for release {version}
            </button>
          )}
        </p>
      )}
    </div>
  );
}
