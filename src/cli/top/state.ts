/** The orders of the list, in the order in which the key `s` goes through them. */
const ORDERS = ["cpu", "memory", "job", "tenant"] as const;
export type Order = (typeof ORDERS)[number];

/** The choices of the user of the screen. */
export interface ScreenState {
  readonly order: Order;
  /** Jobs whose id, tenant or command contains this text, in any case. Empty: all. */
  readonly filter: string;
  /** The filter is being typed. */
  readonly isTyping: boolean;
  readonly view: "jobs" | "job" | "tenants" | "help";
  /** The id of the selected job. `null`: the first one. */
  readonly selected: string | null;
  readonly isPaused: boolean;
}

export const INITIAL_STATE: ScreenState = {
  order: "cpu",
  filter: "",
  isTyping: false,
  view: "jobs",
  selected: null,
  isPaused: false,
};

/** A key as `parseKeys` returns it: a printable character, or a name. */
export type Key = string;

/** Sequences of ECMA-48 terminals in both cursor modes, and control characters. */
const NAMED: Record<string, Key> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[C": "right",
  "\u001bOC": "right",
  "\u001b[D": "left",
  "\u001bOD": "left",
  "\u001b[5~": "page-up",
  "\u001b[6~": "page-down",
  "\u001b[H": "home",
  "\u001b[F": "end",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
  "\u0003": "interrupt",
  "\u0004": "interrupt",
  "\f": "redraw",
};

/** Splits what a terminal sent into keys. Sequences of unknown keys are left out. */
export function parseKeys(input: string): Key[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals send them
  const parts = input.match(/\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|[\s\S]/gu) ?? [];
  return parts.flatMap((part) => {
    const name = NAMED[part];
    if (name !== undefined) return [name];
    return part.length <= 2 && part >= " " && !part.startsWith("\u001b") ? [part] : [];
  });
}

/**
 * Returns the state after a key; `"quit"` at the end. `ids`: the jobs in the order on the screen. `page`: how many of them
 * fit.
 */
export function afterKey(
  state: ScreenState,
  key: Key,
  ids: readonly string[],
  page: number,
): ScreenState | "quit" {
  if (key === "interrupt") return "quit";
  if (state.isTyping) return afterTyping(state, key);
  const back = { ...state, view: "jobs" as const };
  switch (key) {
    case "q":
      return "quit";
    case "escape":
    case "left":
    case "backspace":
      return state.view === "jobs" ? { ...state, filter: "" } : back;
    case "?":
      return state.view === "help" ? back : { ...state, view: "help" };
    case "t":
      return state.view === "tenants" ? back : { ...state, view: "tenants" };
    case "p":
    case " ":
      return { ...state, isPaused: !state.isPaused };
    case "s":
      return { ...state, order: ORDERS[(ORDERS.indexOf(state.order) + 1) % ORDERS.length] as Order };
    case "/":
      return { ...back, isTyping: true };
    case "enter":
    case "right":
      return state.view === "jobs" && ids.length > 0 ? { ...state, view: "job" } : state;
    default:
      return { ...state, selected: selectedAfter(state, key, ids, page) };
  }
}

function afterTyping(state: ScreenState, key: Key): ScreenState {
  if (key === "enter") return { ...state, isTyping: false };
  if (key === "escape") return { ...state, isTyping: false, filter: "" };
  if (key === "backspace") return { ...state, filter: [...state.filter].slice(0, -1).join("") };
  return [...key].length === 1 ? { ...state, filter: state.filter + key } : state;
}

function selectedAfter(
  { selected }: ScreenState,
  key: Key,
  ids: readonly string[],
  page: number,
): string | null {
  const steps: Record<Key, number> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    "page-up": -page,
    "page-down": page,
    home: -ids.length,
    end: ids.length,
  };
  const step = steps[key];
  if (step === undefined || ids.length === 0) return selected;
  // The job that was selected may have ended.
  const index = Math.max(0, ids.indexOf(selected ?? ""));
  return ids[Math.max(0, Math.min(index + step, ids.length - 1))] ?? null;
}
