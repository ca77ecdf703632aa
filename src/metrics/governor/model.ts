import { sharesOf } from "../shares/model.ts";

/** The floor of each job: the smallest quota that the kernel takes is 1 ms (kernel/sched/core.c), in a period of 20 ms. */
export const FLOOR_CORES = 0.05;
/** A quota grows by at most this factor in a step, so that a pause of the others does not fill the machine at once. */
export const MAX_GROWTH = 1.1;
/** Smaller changes are not worth a write. */
const MIN_CHANGE = 0.01;
/** Without a sample for this long, nothing changes. */
export const STALE_MS = 3000;
/** A job may become busier within a step: what it wants is more than what it has used. */
const DEMAND_FACTOR = 1.5;

/** A batch job whose weight does not count against live jobs. All amounts in cores. */
export interface QuotaJob {
  readonly key: string;
  /** The most that it used of late. `null`: not known, so it may want all. */
  readonly useCores: number | null;
  /** The quota that the governor has in force. `null`: none. */
  readonly quotaCores: number | null;
  /** The tightest quota that applies whatever the governor does: its own, its owner's, its tenant's. `null`: none. */
  readonly ceilingCores: number | null;
}

/** CPUs that batch and others use together. */
export interface SharedCores {
  readonly cores: number;
  readonly headroomCores: number;
  /** The most that all but batch used of late. `null`: there is no sample. */
  readonly othersCores: number | null;
}

export interface QuotaInput extends SharedCores {
  /** The quotas of cgroups around all these jobs, and what is used inside of them. */
  readonly around?: readonly SharedCores[];
  /** The age of the last sample. `null`: there is none. */
  readonly sampleAgeMs: number | null;
  readonly jobs: readonly QuotaJob[];
}

/** Returns what the quotas of all jobs divide, in cores. `null`: a sample is missing. */
export function leftCoresOf(input: SharedCores & Pick<QuotaInput, "around">): number | null {
  let least = Number.POSITIVE_INFINITY;
  for (const { cores, headroomCores, othersCores } of [input, ...(input.around ?? [])]) {
    if (othersCores === null) return null;
    least = Math.min(least, cores - headroomCores - othersCores);
  }
  return Math.max(0, least);
}

/** `quotas` has the jobs whose quota changes. `null`: no quota of the governor, because the ceiling is as tight. */
export type QuotaDecision =
  | { readonly quotas: ReadonlyMap<string, number | null> }
  | { readonly because: string };

/** Decides the quotas of the next step, or returns why nothing changes. */
export function decideQuotas(input: QuotaInput): QuotaDecision {
  const { cores, sampleAgeMs, jobs } = input;
  const leftCores = leftCoresOf(input);
  if (leftCores === null || sampleAgeMs === null) return { because: "there is no sample yet" };
  if (sampleAgeMs > STALE_MS) return { because: `there is no sample for ${STALE_MS / 1000} s` };
  const shares = divideAmong(jobs, leftCores, cores);
  const quotas = new Map<string, number | null>();
  for (const job of jobs) {
    const quota = nextQuota(job, shares.get(job.key) ?? FLOOR_CORES);
    if (isChange(job, quota)) quotas.set(job.key, quota);
  }
  return quotas.size === 0 ? { because: "no quota changes by 1 %" } : { quotas };
}

function nextQuota({ quotaCores, ceilingCores }: QuotaJob, share: number): number | null {
  const quota = quotaCores === null ? share : Math.min(share, MAX_GROWTH * quotaCores);
  return ceilingCores !== null && quota >= ceilingCores ? null : quota;
}

function isChange({ quotaCores: before, ceilingCores }: QuotaJob, quota: number | null): boolean {
  if (before === null || quota === null) return before !== quota;
  // The ceiling was lowered since.
  if (ceilingCores !== null && before >= ceilingCores) return true;
  return Math.abs(quota - before) >= MIN_CHANGE * before;
}

/**
 * Divides the cores evenly among the jobs, each of which first has its floor, and no more than its ceiling. A job that uses
 * little leaves its part to those that want more; the rest that no job wants is divided evenly too, so that a job that
 * becomes busy has room.
 */
function divideAmong(jobs: readonly QuotaJob[], leftCores: number, cores: number): Map<string, number> {
  const shares = new Map(
    jobs.map(({ key, ceilingCores }) => [key, Math.min(FLOOR_CORES, most(ceilingCores))]),
  );
  let rest = leftCores;
  for (const share of shares.values()) rest -= share;
  const wants = [
    ({ useCores }: QuotaJob) => (useCores === null ? cores : DEMAND_FACTOR * useCores),
    () => cores,
  ];
  for (const want of wants) {
    const threads = jobs.map((job) => {
      const has = shares.get(job.key) ?? 0;
      const demandCores = Math.max(0, Math.min(want(job), most(job.ceilingCores)) - has);
      return { name: job.key, weight: 100, demandCores };
    });
    const root = { path: "", weight: 100, quotaCores: null, cpus: null, threads, children: [] };
    const parts = sharesOf(root, Math.max(0, rest));
    for (const { name } of threads) {
      const part = parts.get(name) ?? 0;
      shares.set(name, (shares.get(name) ?? 0) + part);
      rest -= part;
    }
  }
  return shares;
}

function most(ceilingCores: number | null): number {
  return ceilingCores ?? Number.POSITIVE_INFINITY;
}
