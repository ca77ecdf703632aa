import { expect, test } from "bun:test";
import { busctl } from "./systemdBus.ts";

/** A client in the place of busctl. */
const client = (script: string) => busctl(["sh", "-c", script, "busctl"], 300);

test("an answer is what the client prints", () => {
  const bus = client('echo "$@"');
  expect(bus.callManager("user", ["GetUnit", "s", "x.scope"])).toEqual({
    answer:
      "--user --timeout=0.3 call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager GetUnit s x.scope",
  });
  expect(bus.readProperties("system", "ffrtmp-1.scope", "Scope", ["Delegate"])).toEqual({
    answer:
      "--timeout=0.3 get-property org.freedesktop.systemd1 /org/freedesktop/systemd1/unit/ffrtmp_2d1_2escope org.freedesktop.systemd1.Scope Delegate",
  });
});

test("a reason is what the client complains of", () => {
  expect(client("echo 'Call failed: Access denied' >&2; exit 1").callManager("system", [])).toEqual({
    reason: "systemd's bus: Call failed: Access denied",
  });
  expect(client("exit 3").callManager("system", [])).toMatchObject({
    reason: "systemd's bus: sh ended with 3",
  });
});

test("a client that never ends is given up", () => {
  expect(client("exec sleep 600").callManager("system", [])).toEqual({
    reason: "systemd's bus did not answer within 0.3 s",
  });
});

test("a machine without the client is no fault", () => {
  const answer = busctl(["ffrtmp-test-no-such-client"], 300).callManager("system", []);
  expect(answer).toMatchObject({ reason: expect.stringContaining("cannot run ffrtmp-test-no-such-client") });
});
