/**
 * Starts the connector, prints why it did not start as JSON, `null` when it did, and stops it. Nothing may keep
 * the process running after that.
 */
import { ConnectorEvents } from "../../../src/linux/events/connectorEvents.ts";
import { realHost } from "../../../src/linux/host.ts";

const events = new ConnectorEvents(realHost());
const reason = await events.start(() => {});
process.stdout.write(JSON.stringify(reason ?? null));
if (reason === undefined) await events.stop();
