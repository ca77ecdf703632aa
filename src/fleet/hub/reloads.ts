import type { Msg, NatsConnection, RequestError, RequestOptions } from "@nats-io/nats-core";

/** A reload takes some ms, and a machine can be busy. */
const [RELOAD_MS, POLL_MS] = [5000, 50];
/** `err_code` of the answers that an account has no streams. Source: JSNotEnabledErr and JSNotEnabledForAccountErr in server/errors.json of nats-server. */
const NOT_ENABLED = /"err_code": ?(10076|10039)\b/;
/** Such an answer is short. */
const MAX_ANSWER_BYTES = 1024;

/**
 * Makes a connection outlast reloads of the server: while it reads changed users, nothing answers for the streams of an account
 * for a moment. No stream has seen such a request, so it can be sent again, whatever it asks for.
 */
export function outlastReloads(connection: NatsConnection): NatsConnection {
  const send = connection.request.bind(connection);
  connection.request = async (subject, payload, options?: RequestOptions) => {
    const endMs = performance.now() + RELOAD_MS;
    for (;;) {
      const answer = await send(subject, payload, options).catch((error: unknown) => {
        if (!isUnanswered(error) || performance.now() > endMs) throw error;
      });
      if (answer !== undefined && (!saysNotEnabled(answer) || performance.now() > endMs)) return answer;
      await Bun.sleep(POLL_MS);
    }
  };
  return connection;
}

function isUnanswered(error: unknown): boolean {
  return (error as Partial<RequestError>).isNoResponders?.() === true;
}

function saysNotEnabled({ data }: Msg): boolean {
  return data.length < MAX_ANSWER_BYTES && NOT_ENABLED.test(Buffer.from(data).toString());
}
