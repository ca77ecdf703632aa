import { writeSync } from "node:fs";
import { realHost } from "../../linux/host.ts";
import { MediaReader, NO_MEDIA } from "../../metrics/media/mediaReader.ts";
import { NetworkReader } from "../../metrics/network/networkReader.ts";
import { ownDevices } from "../../metrics/sampler.ts";
import type { MeterAnswer, MeterRequest } from "./protocol.ts";

/**
 * A process of its own beside `watch`, which reads what the daemon gives up the right to read, or what can delay a reader:
 * connections in other network namespaces, media files by ffprobe, and GPUs. It answers the daemon's requests, one after
 * the other, and ends with the daemon: its input ends then.
 */
export async function runMeter({ probe }: { probe?: boolean }): Promise<number> {
  const host = realHost();
  const network = new NetworkReader(host);
  const media = new MediaReader(host, { probes: probe !== false });
  const warnings: string[] = [];
  const devices = ownDevices({ host, warn: (message) => void warnings.push(message) });

  async function answer({ jobs, forgotten }: MeterRequest): Promise<MeterAnswer> {
    for (const reader of [network, media]) reader.forget(forgotten);
    devices.request();
    const [networks, medias] = await Promise.all([network.read(jobs), media.read(jobs)]);
    return {
      readings: jobs.map(({ key }) => ({
        key,
        network: networks.get(key) ?? null,
        media: medias.get(key) ?? NO_MEDIA,
      })),
      devices: devices.latest() ?? null,
      warnings: warnings.splice(0),
    };
  }

  for await (const line of console) {
    // The end of the input, also in the middle of a line when the daemon is killed.
    if (!line.endsWith("}")) continue;
    try {
      writeSync(1, `${JSON.stringify(await answer(JSON.parse(line) as MeterRequest))}\n`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EPIPE") break;
      throw error;
    }
  }
  return 0;
}
