import { describe, expect, it } from "bun:test";
import { resolve } from "node:path";
import { locateState } from "./location.ts";

const isRoot = process.geteuid?.() === 0;
console.log(
  `not tried: the state directory of ${isRoot ? "an ordinary user: this is root" : "root: this is not root"}`,
);

describe("locateState()", () => {
  it("takes the option before the environment", () => {
    expect(locateState("/srv/a", { FFRTMP_STATE: "/srv/b" }).directory).toBe("/srv/a");
    expect(locateState(undefined, { FFRTMP_STATE: "/srv/b" }).directory).toBe("/srv/b");
    expect(locateState("", { FFRTMP_STATE: "/srv/b" }).directory).toBe("/srv/b");
  });

  it("takes the directory of a file name, as an older --state-path gives it", () => {
    for (const path of ["/srv/state/watch.json", "/srv/state/ledger.db", "/srv/state/"])
      expect(locateState(path, {}).directory).toBe("/srv/state");
  });

  it("makes relative paths absolute, so that the tag is the same from every directory", () => {
    const absolute = resolve("state");
    expect(locateState("state", {})).toEqual(locateState(absolute, {}));
    expect(locateState("./x/../state/", {})).toEqual(locateState(absolute, {}));
  });

  it("keeps state directories apart by six hex digits", () => {
    const tags = ["/srv/a", "/srv/b", "/srv/c"].map((path) => locateState(path, {}).tag);
    for (const tag of tags) expect(tag).toMatch(/^[0-9a-f]{6}$/);
    expect(new Set(tags).size).toBe(3);
  });

  it.if(isRoot)("is /var/lib/ffrtmp for root", () => {
    expect(locateState(undefined, {}).ledger).toBe("/var/lib/ffrtmp/ledger.db");
  });

  it.if(!isRoot)("is the XDG state directory for a user", () => {
    expect(locateState(undefined, { XDG_STATE_HOME: "/x" }).directory).toBe("/x/ffrtmp");
    expect(locateState(undefined, { HOME: "/home/u" }).directory).toBe("/home/u/.local/state/ffrtmp");
  });
});
