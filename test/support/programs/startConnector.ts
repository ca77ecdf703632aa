/**
 * Starts the connector, prints the outcome as JSON and stops it. Nothing may keep the process running after
 * that.
 */
import { ConnectorEvents } from "../../../src/linux/events/connectorEvents.ts";
import { realHost } from "../../../src/linux/host.ts";

const events = new ConnectorEvents(realHost());
const started = await events.start(() => {});
process.stdout.write(JSON.stringify(started));
if (started.outcome === "started") await events.stop();
