/** Starts the connector, prints the outcome as JSON, and ends by itself: nothing of it may keep the process alive. */

import { ConnectorEvents } from "../../../src/linux/events/connectorEvents.ts";
import { realHost } from "../../../src/linux/host.ts";

const events = new ConnectorEvents(realHost());
const started = await events.start(() => {});
process.stdout.write(JSON.stringify(started));
if (started.outcome === "started") await events.stop();
