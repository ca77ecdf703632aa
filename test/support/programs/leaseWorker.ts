import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "../../../src/fleet/client/connect.ts";
import { jobBody, offerMessage } from "../../../src/fleet/messages/job.ts";

// A node that takes jobs by a lease: it says "in progress" while the job runs, and acknowledges the offer at the end. There is no
// claim. Each job has a file with its lease, so that the next worker continues to renew it.
// bun leaseWorker.ts PORT NODE SEED_FILE POOL DIRECTORY STARTS SLOTS RENEWAL_MS

const [, , port, node = "", seedFile = "", pool = "", directory = "", starts = "", slots, renewalMs] =
  process.argv;
const connection = await connect(
  {
    servers: `127.0.0.1:${port}`,
    tls: null,
    inboxPrefix: `_INBOX.${node}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 200,
  },
  readFileSync(seedFile, "utf8").trim(),
);

for (;;) {
  const leases = readdirSync(directory).filter((file) => file.endsWith(".lease"));
  for (const file of leases) {
    const reply = readFileSync(join(directory, file), "utf8");
    const hasEnded = existsSync(join(directory, `${file}.ended`));
    connection.publish(reply, hasEnded ? "+ACK" : "+WPI");
    if (hasEnded) rmSync(join(directory, file));
  }
  if (leases.length < Number(slots)) await pullOne().catch(() => {});
  else await Bun.sleep(Number(renewalMs));
}

async function pullOne(): Promise<void> {
  const waitMs = Number(renewalMs);
  const request = JSON.stringify({ batch: 1, expires: waitMs * 1e6 });
  const message = await connection.request(`$JS.API.CONSUMER.MSG.NEXT.JOBS.${pool}`, request, {
    timeout: waitMs + 500,
    // An offer has a subject of its own.
    noMux: true,
  });
  if (message.headers?.code) return;
  const { job } = offerMessage.parse(message.json());
  const { id, params } = jobBody.parse(JSON.parse(job.body));
  const lease = join(directory, `${id}.lease`);
  rmSync(`${lease}.ended`, { force: true });
  writeFileSync(lease, message.reply ?? "");
  const workload = 'echo "$0" >> "$1"; sleep "$2"; : > "$3.ended"';
  const cmd = ["setsid", "sh", "-c", workload, `${id}.1`, starts, String(params["seconds"]), lease];
  Bun.spawn({ cmd, stdio: ["ignore", "ignore", "ignore"] }).unref();
}
