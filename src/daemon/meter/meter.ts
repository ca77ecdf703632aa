import { writeSync } from "node:fs";
import { readHierarchies } from "../../linux/cgroup/hierarchies.ts";
import { realHost } from "../../linux/host.ts";
import { SlowReader } from "../../linux/proc/slowFacts/slowReader.ts";
import { PaceReader } from "../../metrics/hindrance/paceReader.ts";
import { MediaReader, NO_MEDIA } from "../../metrics/media/mediaReader.ts";
import { NetworkReader } from "../../metrics/network/networkReader.ts";
import { ownDevices } from "../../metrics/sampler.ts";
import { SureCoresReader } from "../../metrics/shares/sureCores.ts";
import type { JobInTree } from "../../metrics/shares/treeReading.ts";
import { installSignalFilter } from "../../sys/seccomp.ts";
import { setHelperPriority } from "../helperPriority.ts";
import type { MeterAnswer, MeterRequest } from "./protocol.ts";
import { startAgain } from "./wait.ts";

/**
 * A process of its own beside `watch`, which reads what the daemon gives up the right to read, or what can delay a reader:
 * connections in other network namespaces, media files by ffprobe, GPUs, and the threads of the whole machine. It answers
 * the daemon's requests, one after the other, and ends with the daemon: its input ends then.
 */
export async function runMeter({ probe }: { probe?: boolean }): Promise<number> {
  setHelperPriority(0);
  const filter = installSignalFilter("meter");
  const host = realHost();
  const network = new NetworkReader(host);
  const slow = new SlowReader(host);
  const media = new MediaReader(host, { probes: probe !== false, slow });
  const paces = new PaceReader(host, slow);
  const sure = new SureCoresReader(host, readHierarchies(host));
  /** The places of all jobs, not only of those in a request. */
  const places = new Map<string, JobInTree>();
  const warnings =
    filter.outcome === "applied" ? [] : [`cannot install the signal filter of the meter (${filter.reason})`];
  const devices = ownDevices({ host, warn: (message) => void warnings.push(message) });

  async function answer({ jobs, forgotten }: MeterRequest): Promise<MeterAnswer> {
    for (const reader of [network, media, paces]) reader.forget(forgotten);
    for (const key of forgotten) places.delete(key);
    for (const { key, place } of jobs) if (place) places.set(key, place);
    const sureOf = sure.measure(places.values());
    const reads = [network.read(jobs), media.read(jobs), paces.read(jobs), devices.request()] as const;
    const [networks, medias, pacesOf] = await Promise.all(reads);
    return {
      readings: jobs.map(({ key, place }) => ({
        key,
        network: networks.get(key) ?? null,
        media: medias.get(key) ?? NO_MEDIA,
        pace: pacesOf.get(key) ?? null,
        sureCores: place ? sureOf(place) : null,
      })),
      devices: devices.latest() ?? null,
      warnings: warnings.splice(0),
    };
  }

  for await (const line of console) {
    // The end of the input, also in the middle of a line when the daemon is killed.
    if (!line.endsWith("}")) continue;
    try {
      const request = JSON.parse(line) as MeterRequest;
      if (request.isLast) startAgain();
      writeSync(1, `${JSON.stringify(await answer(request))}\n`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EPIPE") break;
      throw error;
    }
  }
  return 0;
}
