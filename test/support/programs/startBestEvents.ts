/** Starts the best source, prints which it is and why no better one, and ends by itself. */

import { startBestEvents } from "../../../src/linux/events/bestEvents.ts";
import { realHost } from "../../../src/linux/host.ts";

const { events, unavailable } = await startBestEvents(realHost(), 20, () => {});
process.stdout.write(JSON.stringify({ source: events.source, reports: events.reports, unavailable }));
await events.stop();
