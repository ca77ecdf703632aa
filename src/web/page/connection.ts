import { hasToken, reasonOf, request, storeToken, TokenNeeded } from "./api.ts";
import type { Snapshot } from "./data.ts";
import { readEvents } from "./eventStream.ts";
import { Shared } from "./shared.ts";

/** `silent`: connected, and the daemon sends nothing. `lost`: not connected. Both are tried again without end. */
export type Connection =
  | { readonly kind: "connecting" | "live" | "silent" }
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "token-needed"; readonly isWrong: boolean };

export const connection = new Shared<Connection>({ kind: "connecting" });
export const snapshot = new Shared<Snapshot | undefined>(undefined);
/** Seconds since the last snapshot arrived; counts only while the connection is not live. */
export const silentSeconds = new Shared(0);

/** The daemon sends a snapshot each second. */
const SILENT_MS = 5000;
/** A daemon that was stopped answers requests of before when it continues, so it is not asked too often. */
const GIVE_UP_MS = 15_000;
const RETRY_MS = 2000;
/** The daemon measures more often for an open page, so a hidden one disconnects. */
const HIDDEN_MS = 60_000;

let heardMs = performance.now();
let arrivedMs = performance.now();
let hiddenSinceMs: number | undefined;
let attempt = new AbortController();
let wake = (): void => {};

/** Follows the daemon as long as the page is open. */
export async function follow(): Promise<never> {
  setInterval(watchSilence, 1000);
  document.addEventListener("visibilitychange", () => {
    hiddenSinceMs = document.hidden ? performance.now() : undefined;
    if (!document.hidden) wake();
  });
  for (;;) {
    const state = await followOnce();
    if (!isUnseen()) connection.value = state;
    await pause(state.kind === "token-needed" || isUnseen() ? undefined : RETRY_MS);
  }
}

/** Tries again at once, with this token. */
export function signIn(token: string): void {
  storeToken(token);
  connection.value = { kind: "connecting" };
  wake();
}

/** Returns the state after the connection has ended, or could not be made. */
async function followOnce(): Promise<Connection> {
  attempt = new AbortController();
  heardMs = performance.now();
  const hear = () => {
    heardMs = performance.now();
  };
  try {
    const { body } = await request("stream", attempt.signal);
    hear();
    for await (const { name, data } of readEvents(body as ReadableStream<Uint8Array<ArrayBuffer>>, hear)) {
      if (name !== "snapshot") continue;
      snapshot.value = JSON.parse(data) as Snapshot;
      arrivedMs = heardMs;
      connection.value = { kind: "live" };
    }
    return { kind: "lost", reason: "ffrtmp watch has stopped, or has closed the connection" };
  } catch (error) {
    if (!(error instanceof TokenNeeded)) return { kind: "lost", reason: reasonOf(error) };
    const isWrong = hasToken();
    storeToken(undefined);
    snapshot.value = undefined;
    return { kind: "token-needed", isWrong };
  }
}

function watchSilence(): void {
  const silentMs = performance.now() - heardMs;
  if (isUnseen() || silentMs > GIVE_UP_MS) attempt.abort(new Error("ffrtmp watch does not answer"));
  const { kind } = connection.value;
  if (kind === "live" && silentMs > SILENT_MS) connection.value = { kind: "silent" };
  silentSeconds.value = kind === "live" ? 0 : Math.round((performance.now() - arrivedMs) / 1000);
}

function isUnseen(): boolean {
  return hiddenSinceMs !== undefined && performance.now() - hiddenSinceMs > HIDDEN_MS;
}

/** Waits for this time, or until `wake` is called. */
function pause(ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
    if (ms !== undefined) setTimeout(resolve, ms);
  });
}
