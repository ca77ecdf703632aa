import { expect, test } from "bun:test";
import type { Capacity } from "../../metrics/capacity/answer.ts";
import { capacityText } from "./capacityText.ts";

const PEAK = { cores: 0.5, samples: 60, sampleSeconds: 1, isSumOfPeaks: false };

function answerWith(different: Partial<Capacity>): Capacity {
  return {
    like: "live",
    candidate: PEAK,
    running: PEAK,
    streams: ["live"],
    fits: 1,
    bounds: [{ kind: "cores", limitCores: 1.8, usedCores: 0.5, fits: 1 }],
    unknown: [],
    ...different,
  };
}

test("one stream and several have their own words, and the tightest bound is named", () => {
  const one = capacityText(answerWith({}), 2);
  expect(one).toStartWith("1 more stream like live fits. The tightest bound is 90 % of 2 cores.\n");
  expect(one).toMatch(/^running +1 stream, 0\.50 cores/m);
  expect(capacityText(answerWith({ streams: ["live", "news"] }), 2)).toMatch(/^running +2 streams, /m);
});
