import { expect, test } from "bun:test";
import { errors, type Msg, type NatsConnection } from "@nats-io/nats-core";
import { outlastReloads } from "./reloads.ts";

const NOBODY = new errors.RequestError("request failed", {
  cause: new errors.NoRespondersError("$JS.API.INFO"),
});
const NOT_ENABLED = JSON.stringify({
  error: { code: 503, err_code: 10_039, description: "JetStream not enabled for account" },
});

/** A connection whose requests end like this, one after the other: with an answer or with an error. */
function answering(...ends: (string | Error)[]): { connection: NatsConnection; asked: unknown[] } {
  const asked: unknown[] = [];
  const request = async (...args: unknown[]): Promise<Pick<Msg, "data">> => {
    asked.push(args);
    const end = ends.shift();
    if (end instanceof Error) throw end;
    return { data: Buffer.from(end ?? "") };
  };
  return { connection: { request } as unknown as NatsConnection, asked };
}

test("a request that nobody answered during a reload is sent again, as it was", async () => {
  const { connection, asked } = answering(NOBODY, NOT_ENABLED, NOBODY, "{}");
  const options = { timeout: 5000 };
  const answer = await outlastReloads(connection).request("$JS.API.INFO", "body", options);
  expect(answer.data.toString()).toBe("{}");
  expect(asked).toEqual(Array(4).fill(["$JS.API.INFO", "body", options]));
});

test("a request that may have been received is not sent again", async () => {
  const late = new errors.TimeoutError();
  const { connection, asked } = answering(late);
  expect(
    await outlastReloads(connection)
      .request("a")
      .catch((error: unknown) => error),
  ).toBe(late);
  expect(asked).toHaveLength(1);
});
