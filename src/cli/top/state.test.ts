import { expect, test } from "bun:test";
import fc from "fast-check";
import { afterKey, INITIAL_STATE, parseKeys, type ScreenState } from "./state.ts";

const IDS = ["a", "b", "c", "d"];
const SHOWN = { ids: IDS, page: 2, maxScroll: 5 };

/** Returns the state after some input, with four jobs of which two fit on the screen. */
function after(input: string, from: ScreenState = INITIAL_STATE): ScreenState | "quit" {
  let state: ScreenState = from;
  for (const key of parseKeys(input)) {
    const next = afterKey(state, key, SHOWN);
    if (next === "quit") return next;
    state = next;
  }
  return state;
}

test("keys and sequences of both cursor modes are known, and other sequences are left out", () => {
  expect(parseKeys("q\u001b[A\u001bOB\r\u007f\u001b[5~é\u0003")).toEqual([
    ...["q", "up", "down", "enter", "backspace", "page-up", "é", "interrupt"],
  ]);
  expect(parseKeys("\u001b[1;5C\u001b[15~\u0001")).toEqual([]);
  expect(parseKeys("\u001b")).toEqual(["escape"]);
});

test("the selection stays within the list, and begins at its top after the selected job has ended", () => {
  expect(after("jj")).toMatchObject({ selected: "c" });
  expect(after("jjjjjjj")).toMatchObject({ selected: "d" });
  expect(after("\u001b[6~k")).toMatchObject({ selected: "b" });
  expect(after("kk")).toMatchObject({ selected: "a" });
  expect(after("j", { ...INITIAL_STATE, selected: "gone" })).toMatchObject({ selected: "b" });
});

test("what is typed after / is the filter, also the letters of commands", () => {
  expect(after("/qsp")).toMatchObject({ filter: "qsp", isTyping: true, order: "cpu", isPaused: false });
  expect(after("/ab\u007f\r")).toMatchObject({ filter: "a", isTyping: false });
  expect(after("/ab\u001b")).toMatchObject({ filter: "", isTyping: false });
  expect(after("/ab\r\u001b")).toMatchObject({ filter: "", view: "jobs" });
  expect(after("/a\u0003")).toBe("quit");
});

test("views are entered and left by the same keys, and q quits from each of them", () => {
  expect(after("\r")).toMatchObject({ view: "job" });
  expect(after("\r\u001b")).toMatchObject({ view: "jobs" });
  expect(after("??")).toMatchObject({ view: "jobs" });
  expect(after("t")).toMatchObject({ view: "tenants" });
  for (const view of ["", "\r", "?", "t", "\rc", "\rl"]) expect(after(`${view}q`)).toBe("quit");
  expect(afterKey(INITIAL_STATE, "enter", { ...SHOWN, ids: [] })).toMatchObject({ view: "jobs" });
});

test("one job has its command line and its log, and help returns to where it was asked for", () => {
  expect(after("j\r")).toMatchObject({ view: "job", selected: "b" });
  expect(after("\rc")).toMatchObject({ view: "command", selected: "a" });
  expect(after("\rcl")).toMatchObject({ view: "log" });
  expect(after("\rcl\u001b")).toMatchObject({ view: "job" });
  expect(after("\rll")).toMatchObject({ view: "job" });
  expect(after("\rl??")).toMatchObject({ view: "log" });
  expect(after("\r?\u001b")).toMatchObject({ view: "job" });
  expect(after("cl")).toMatchObject({ view: "jobs" });
});

test("views scroll within their lines, the log from its end, and the selection stays", () => {
  expect(after("\rjj")).toMatchObject({ scroll: 2, selected: "a" });
  expect(after("\rjjk\u001b[6~")).toMatchObject({ scroll: 3 });
  expect(after("\r\u001b[F")).toMatchObject({ scroll: 5 });
  expect(after("\rlk")).toMatchObject({ scroll: 1 });
  expect(after("\rlj")).toMatchObject({ scroll: 0 });
  expect(after("\rjj\u001b")).toMatchObject({ scroll: 0 });
});

test("s goes through all orders, and p pauses and continues", () => {
  expect([1, 2, 3, 4, 5].map((times) => after("s".repeat(times)))).toMatchObject([
    ...["memory", "speed", "job", "tenant", "cpu"].map((order) => ({ order })),
  ]);
  expect(after("p")).toMatchObject({ isPaused: true });
  expect(after("pp")).toMatchObject({ isPaused: false });
});

test("no input makes a state that is invalid", () => {
  const unit = fc.constantFrom(
    "\u001b",
    "[",
    "A",
    "B",
    "O",
    "5",
    "~",
    "/",
    "q",
    "s",
    "\r",
    "\u0003",
    "\u{1f600}",
    "\ud800",
  );
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40 }), (input) => {
      const state = after(input);
      const selected = state === "quit" ? null : state.selected;
      expect([null, ...IDS]).toContain(selected);
    }),
  );
});
