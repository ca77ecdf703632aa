/** More digits than a measurement has would only be noise. */
export function rounded(value: number): number;
export function rounded(value: number | null | undefined): number | null;
export function rounded(value: number | null | undefined): number | null {
  return round(value, 100);
}

/** CPUs, and the lengths of their samples: an audio transcode needs hundredths of a core. */
export function roundedCores(value: number): number;
export function roundedCores(value: number | null | undefined): number | null;
export function roundedCores(value: number | null | undefined): number | null {
  return round(value, 1000);
}

function round(value: number | null | undefined, parts: number): number | null {
  return value === null || value === undefined ? null : Math.round(value * parts) / parts;
}
