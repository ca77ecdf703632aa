import { publishPolicy } from "../../../fleet/hub/publishPolicy.ts";
import type { StoredPolicy } from "../../../fleet/hub/ringPolicies.ts";
import type { PolicyBody } from "../../../fleet/messages/control.ts";
import { Refusal } from "../../../jobs/errors.ts";
import { oneLine } from "../../../sys/visibleText.ts";
import { printOut } from "../../output/messages.ts";
import { operatorName, readReports } from "./operator.ts";
import { type PushFlags, ringOf, shareText, warnOfSerials } from "./policyPush.ts";
import { checkRolloutFlags, waitForRollout } from "./rollout.ts";
import { withHub } from "./session.ts";

/** Gives a ring an earlier policy of it again, under a new serial: nodes never go back to an older one. */
export async function rollBackPolicy(flags: PushFlags & { to?: number }): Promise<number> {
  const ring = ringOf(flags.ring);
  checkRolloutFlags(flags);
  return withHub(flags, async (connection, directory) => {
    const key = directory.signingKey("policy", flags.key);
    const nodes = await readReports(connection, directory);
    let earlier: PolicyBody | undefined;
    const { body, digest, implausible } = await publishPolicy(connection, key, ring, nodes, (policies) => {
      earlier = earlierOf(ring, policies, flags.to);
      const notAfterMs = Date.now() + flags.expires;
      return { yaml: earlier.yaml, percent: flags.percent, notAfterMs, by: operatorName() };
    });
    warnOfSerials(implausible);
    const text = `serial ${body.serial} is the policy of the ring ${ring}${shareText(flags.percent)}`;
    printOut(oneLine(`${text}: that of serial ${earlier?.serial}`));
    return waitForRollout(connection, directory, { ...body, digest }, flags);
  });
}

/** Only what this operator has signed is signed again. */
function earlierOf(ring: string, policies: readonly StoredPolicy[], to: number | undefined): PolicyBody {
  const own = policies
    .flatMap(({ isOwn, body }) => (isOwn && body !== undefined ? [body] : []))
    // The hub can have stored an older one again.
    .toSorted((a, b) => a.serial - b.serial);
  const last = own.at(-1);
  if (last === undefined)
    throw new Refusal(
      `the hub has no policy of the ring ${ring} that this key has signed`,
      "ffrtmp fleet policy status lists the rings",
    );
  const known = `its serials at the hub are ${own.map(({ serial }) => serial).join(", ")}`;
  if (to !== undefined) {
    const named = own.find(({ serial }) => serial === to);
    if (named !== undefined) return named;
    throw new Refusal(`the hub has no serial ${to} of the ring ${ring} that this key has signed`, known);
  }
  const earlier = own.findLast(({ sha256 }) => sha256 !== last.sha256);
  if (earlier !== undefined) return earlier;
  throw new Refusal(`the hub has no other policy of the ring ${ring} than the present one`, known);
}
