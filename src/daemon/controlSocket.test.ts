import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../../test/support/sandbox.ts";
import { locateState } from "../ledger/location.ts";
import { openSocketPath } from "../sys/unixSocket.ts";
import { askDaemon } from "./askDaemon.ts";
import { type ControlHandlers, ControlSocket } from "./controlSocket.ts";

const opened: { stop(): void }[] = [];

afterEach(() => {
  for (const { stop } of opened.splice(0).reverse()) stop();
});

function open(handlers: ControlHandlers) {
  const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
  opened.push({ stop: () => rmSync(directory, { recursive: true }) });
  const state = locateState(directory, {});
  const socket = ControlSocket.open(state, handlers);
  if (!(socket instanceof ControlSocket)) throw new Error(socket.reason);
  opened.push({ stop: () => socket.stop() });
  return state;
}

/** Connects, asks, and reads nothing. */
async function askWithoutReading(state: ReturnType<typeof open>, request: object) {
  const { path, close } = openSocketPath(state.directory, state.controlSocket);
  const socket = await Bun.connect({
    unix: path,
    socket: {
      open: (opening) => {
        opening.pause();
        opening.write(`${JSON.stringify(request)}\n`);
      },
      data() {},
    },
  });
  opened.push({ stop: () => socket.terminate() }, { stop: close });
}

test("an answer of many megabytes arrives whole", async () => {
  const text = "ä".repeat(4_000_000);
  const state = open({ large: () => JSON.stringify({ ok: true, text }) });
  expect(await askDaemon(state, { request: "large" }, 60_000)).toEqual({ ok: true, text });
});

test("a client that asks and reads nothing delays no other", async () => {
  let asked = 0;
  const text = "x".repeat(4_000_000);
  const large = () => {
    asked++;
    return JSON.stringify({ ok: true, text });
  };
  const state = open({ large, small: () => ({ ok: true }) });
  for (let n = 0; n < 10; n++) await askWithoutReading(state, { request: "large" });
  await until("all have asked", () => asked === 10);
  expect(await askDaemon(state, { request: "small" }, 60_000)).toEqual({ ok: true });
  expect(await askDaemon(state, { request: "large" }, 60_000)).toEqual({ ok: true, text });
});

test("an unknown request is answered with those that are known", async () => {
  const state = open({ status: () => ({ ok: true }) });
  expect(await askDaemon(state, { request: "snapshots" }, 60_000)).toEqual({
    ok: false,
    error: "unknown request; this ffrtmp watch knows: status",
  });
});
