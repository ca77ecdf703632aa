import type { DeviceReading } from "../sys/nvml.ts";
import type { MetricFamily, MetricSample } from "./exposition.ts";
import { utilization } from "./jobMetricTable.ts";

/** Returns the families of the machine's NVIDIA devices, which all programs use. */
export function gpuFamilies(readings: readonly DeviceReading[]): MetricFamily[] {
  const gauge = (
    name: string,
    help: string,
    read: (reading: DeviceReading) => ReturnType<typeof utilization>,
  ): MetricFamily => ({
    name,
    type: "gauge",
    help,
    samples: readings.flatMap((reading) =>
      read(reading).flatMap(([labels, value]): MetricSample[] =>
        value === null || value === undefined
          ? []
          : [{ labels: { gpu: String(reading.index), ...labels }, value }],
      ),
    ),
  });
  return [
    gauge("ffrtmp_gpu_info", "A constant 1 with the name of an NVIDIA device: join by gpu.", ({ name }) => [
      [{ name: name ?? "" }, 1],
    ]),
    gauge("ffrtmp_gpu_utilization_ratio", "The part of an NVIDIA device that is used.", ({ device }) =>
      utilization(device),
    ),
    gauge("ffrtmp_gpu_memory_bytes", "Memory of an NVIDIA device that is used.", ({ device }) => [
      [{}, device.memoryUsedBytes],
    ]),
    gauge("ffrtmp_gpu_memory_total_bytes", "Memory that an NVIDIA device has.", ({ device }) => [
      [{}, device.memoryTotalBytes],
    ]),
  ];
}
