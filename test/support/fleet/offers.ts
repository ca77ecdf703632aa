import type { SigningKey } from "../../../src/fleet/keys/signingKey.ts";
import type { JobBody, Offer } from "../../../src/fleet/messages/job.ts";
import { signDocument } from "../../../src/fleet/messages/signed.ts";

const DAY_MS = 86_400_000;

/** The pool of the tests, and the template that each node has. */
export const [POOL, TEMPLATE] = ["live", "sleep"] as const;

/** Returns an offer of a job that sleeps. */
export function signedOffer(key: SigningKey, id: string, different: Partial<JobBody> = {}): Offer {
  const body: JobBody = {
    v: 1,
    id,
    pool: POOL,
    template: TEMPLATE,
    params: { seconds: 0 },
    attempts: 3,
    not_before: null,
    not_after: new Date(Date.now() + DAY_MS).toISOString(),
    rerun: "if_lost",
    labels: {},
    by: "ops",
    at: new Date().toISOString(),
    ...different,
  };
  return { v: 1, attempt: 1, job: signDocument("job", body, key) };
}
