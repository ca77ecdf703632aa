import type { EventSource } from "../linux/events/processEvents.ts";
import type { DaemonEvents } from "./events.ts";
import type { ServiceManager } from "./serviceManager.ts";

/** Keeps the status line current that `systemctl status` shows. */
export function reportStatus(events: DaemonEvents, service: Pick<ServiceManager, "status">): void {
  let source: EventSource | undefined;
  let isPolicyValid = true;
  events.subscribe((event) => {
    switch (event.kind) {
      case "daemon-started":
      case "event-source-changed":
        source = event.source;
        break;
      case "policy-loaded":
        isPolicyValid = true;
        break;
      case "policy-rejected":
        isPolicyValid = false;
        break;
      case "counted": {
        const { jobs, counts } = event;
        const policy = isPolicyValid ? "" : "; POLICY FILE NOT VALID, the previous policy is in force";
        service.status(
          `Governing ${jobs} ${jobs === 1 ? "job" : "jobs"}; events: ${source}, dropped: ${counts.dropped ?? "not counted"}${policy}`,
        );
      }
    }
  });
}
