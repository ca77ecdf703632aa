import { describe, expect, it } from "bun:test";
import { createSigningKey } from "../keys/signingKey.ts";
import type { JobBody } from "../messages/job.ts";
import { signDocument } from "../messages/signed.ts";
import { judgeOffer, type OfferContext } from "./offer.ts";

const KEY = createSigningKey();
const NOW_MS = Date.parse("2026-11-28T12:00:00.000Z");
const CONTEXT: OfferContext = {
  pool: "live",
  hubNowMs: NOW_MS,
  ownNowMs: NOW_MS,
  trusted: new Set([KEY.publicKey]),
  refuses: ({ template }) => (template === "hls" ? undefined : `there is no template ${template}`),
};

const JOB: JobBody = {
  v: 1,
  id: "job-1",
  pool: "live",
  template: "hls",
  params: {},
  attempts: 2,
  not_before: null,
  not_after: "2026-11-29T00:00:00.000Z",
  rerun: "never",
  labels: {},
  by: "ops",
  at: "2026-11-28T00:00:00.000Z",
};

function offerOf(
  different: Partial<JobBody> = {},
  more: { attempt?: number; key?: typeof KEY } = {},
): object {
  const { attempt = 1, key = KEY } = more;
  return { v: 1, attempt, job: signDocument("job", { ...JOB, ...different }, key) };
}

const judge = (offer: object, context: Partial<OfferContext> = {}) =>
  judgeOffer(JSON.stringify(offer), { ...CONTEXT, ...context });

describe("an offer", () => {
  it("is claimed that a trusted key has signed, in its pool and its time", () => {
    const offer = offerOf({ not_before: "2026-11-28T12:00:00.000Z" }, { attempt: 2 });
    expect(judge(offer)).toMatchObject({ kind: "claim", job: { id: "job-1" }, offer: { attempt: 2 } });
  });

  it("stays for other nodes where this one cannot run it", () => {
    const stranger = createSigningKey();
    const whys: [object, string][] = [
      [
        offerOf({}, { key: stranger }),
        `a job is not for this node: this machine does not trust its signer ${stranger.publicKey}`,
      ],
      [offerOf({ template: "dash" }), "job-1.1 is not for this node: there is no template dash"],
      [{ ...offerOf(), v: 2 }, "an offer is of a later release"],
      [offerOf({ v: 2 } as never), expect.stringContaining("a job is not for this node: v: ")],
    ];
    for (const [offer, why] of whys) expect(judge(offer)).toEqual({ kind: "leave", why });
  });

  it("waits for its time by the clock of the hub", () => {
    const notBefore = "2026-11-28T12:00:01.000Z";
    expect(judge(offerOf({ not_before: notBefore }))).toEqual({
      kind: "leave",
      why: `job-1.1 is not to start before ${notBefore}`,
      notBeforeMs: NOW_MS + 1000,
    });
    expect(judge(offerOf({ not_before: notBefore }), { hubNowMs: NOW_MS + 1000 }).kind).toBe("claim");
  });

  it("is left to others by a node whose clock would make its runner refuse it, or wait", () => {
    const offer = offerOf({ not_before: "2026-11-28T11:00:00.000Z" });
    for (const [day, how] of [
      ["2026-11-27", "behind"],
      ["2026-11-29", "ahead of"],
    ]) {
      const verdict = judge(offer, { ownNowMs: Date.parse(`${day}T12:00:00.000Z`) });
      const why = `job-1.1 is not for this node: its clock is ${how} that of the hub`;
      expect(verdict).toEqual({ kind: "leave", why });
    }
  });

  it("ends where no node can ever accept it", () => {
    const forged = offerOf() as { job: { body: string } };
    forged.job.body = forged.job.body.replace("job-1", "job-2");
    const whys: [object | string, string][] = [
      [forged, expect.stringContaining("a job is not accepted: its signature is not by")],
      [offerOf({ pool: "batch" }), "job-1.1 is a job of the pool batch, offered in live"],
      [offerOf({}, { attempt: 3 }), "job-1.3 has only 2 attempts"],
      [{ v: 1, attempt: 0 }, "a message in the queue is no offer of a job"],
      [[], "a message in the queue is no offer of a job"],
    ];
    for (const [offer, why] of whys) expect(judge(offer as object)).toEqual({ kind: "discard", why });
    expect(judgeOffer("{", CONTEXT)).toEqual({ kind: "discard", why: "an offer is not JSON" });
  });

  it("expires, which is said of a job with a good signature alone", () => {
    const late = { hubNowMs: Date.parse(JOB.not_after) };
    expect(judge(offerOf(), late)).toMatchObject({ kind: "expired", job: { id: "job-1" } });
    expect(judge(offerOf({}, { key: createSigningKey() }), late).kind).toBe("leave");
  });
});
