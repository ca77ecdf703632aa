import type { DaemonEvents } from "./events.ts";

/**
 * An idle daemon does the same few times a minute. Compiled sooner, it took 10 % more CPU time in its first minutes, because one
 * function after the other became due, and 2 MB more.
 */
const SCALE_WITHOUT_JOBS = 20;

/**
 * Lets the runtime compile the code of a daemon as usual while it has jobs, and later while it has none. The executable starts with the
 * compiler turned down (scripts/build.ts). Call it on the main thread.
 */
export function compileWhileBusy(bus: DaemonEvents, setScale = Bun.unsafe.setJITPolicy): void {
  let scale = SCALE_WITHOUT_JOBS;
  setScale(scale);
  bus.subscribe((event) => {
    if (event.kind !== "counted") return;
    const wanted = event.jobs > 0 ? 1 : SCALE_WITHOUT_JOBS;
    if (wanted !== scale) setScale(wanted);
    scale = wanted;
  });
}
