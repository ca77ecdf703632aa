import { describeProcessEvents } from "../../../test/contract/processEvents.contract.ts";
import { realHost } from "../host.ts";
import { pidfdsReportExitCodes } from "./bestEvents.ts";
import { ConnectorEvents } from "./connectorEvents.ts";
import { PidfdEvents } from "./pidfdEvents.ts";
import { PollingEvents } from "./pollingEvents.ts";

const host = realHost();

await describeProcessEvents("connector", () => new ConnectorEvents(host));
if (await pidfdsReportExitCodes())
  await describeProcessEvents(
    "connector without exits",
    () => new ConnectorEvents(host, { hasExits: false }),
  );
await describeProcessEvents("pidfd", () => new PidfdEvents(host));
await describeProcessEvents("polling", () => new PollingEvents(host, { intervalMs: 20, usesPidfds: false }));
await describeProcessEvents(
  "polling with pidfds",
  () => new PollingEvents(host, { intervalMs: 20, usesPidfds: true }),
);
