import { Nvml } from "../../sys/nvml.ts";
import type { FromGpuWorker } from "./gpuSampler.ts";

declare const self: {
  onmessage: () => void;
  postMessage(answer: FromGpuWorker): void;
};

let nvml: Nvml | undefined;

self.onmessage = () => {
  try {
    nvml ??= Nvml.load();
    self.postMessage(nvml === undefined ? { absent: true } : { devices: nvml.read() });
  } catch (error) {
    self.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};
