import { JetStreamApiError, jetstream } from "@nats-io/jetstream";
import { errors, type NatsConnection } from "@nats-io/nats-core";
import { Refusal } from "../../../jobs/errors.ts";
import { WRONG_LAST_SEQUENCE } from "../../messages/storeErrors.ts";

const TRIES = 3;
const TIMEOUT_MS = 5000;

/**
 * Stores a message if its subject has none, or if `among`, a subject with wildcards, has none. Returns false where there is one:
 * also where an earlier try of this call has stored it, and its answer was lost. Throws a Refusal where the hub does not answer.
 */
export async function storeOnce(
  connection: NatsConnection,
  stream: string,
  subject: string,
  content: object,
  among = subject,
): Promise<boolean> {
  for (let left = TRIES - 1; ; left--) {
    try {
      await jetstream(connection, { checkAPI: false }).publish(subject, JSON.stringify(content), {
        timeout: TIMEOUT_MS,
        expect: { streamName: stream, lastSubjectSequence: 0, lastSubjectSequenceSubject: among },
      });
      return true;
    } catch (error) {
      if (isTaken(error)) return false;
      if (!(error instanceof errors.TimeoutError)) throw error;
      if (left === 0)
        throw new Refusal(
          `the hub did not answer: whether it has stored ${subject} is not known`,
          "run the same command again: it finds out",
        );
    }
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(error.code);
}
