/** The orders of the list, in the order in which the key `s` goes through them. */
const ORDERS = ["cpu", "memory", "speed", "job", "tenant"] as const;
export type Order = (typeof ORDERS)[number];

export type View = "jobs" | "job" | "command" | "log" | "tenants" | "help";

/** The choices of the user of the screen. */
export interface ScreenState {
  readonly order: Order;
  /** Jobs whose id, tenant or command contains this text, in any case. Empty: all. */
  readonly filter: string;
  /** The filter is being typed. */
  readonly isTyping: boolean;
  readonly view: View;
  /** The view to which `help` returns. */
  readonly before: View;
  /** The id of the selected job. `null`: the first one. */
  readonly selected: string | null;
  /** By how many lines the view is scrolled down; that of the log: up from its end. */
  readonly scroll: number;
  readonly isPaused: boolean;
}

export const INITIAL_STATE: ScreenState = {
  order: "cpu",
  filter: "",
  isTyping: false,
  view: "jobs",
  before: "jobs",
  selected: null,
  scroll: 0,
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
  "\u001b[1~": "home",
  "\u001b[F": "end",
  "\u001b[4~": "end",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
  "\u0003": "interrupt",
  "\u0004": "interrupt",
  "\u001a": "suspend",
  "\f": "redraw",
};

/** Splits what a terminal sent into keys. Sequences of unknown keys are left out. */
export function parseKeys(input: string): Key[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminals send them
  const parts = input.match(/\u001b(?:\[[0-9;?]*[A-Za-z~]|O[A-Z])|[\s\S]/gu) ?? [];
  return parts.flatMap((part) => {
    const name = NAMED[part];
    if (name !== undefined) return [name];
    return part.length <= 2 && part >= " " && !part.startsWith("\u001b") ? [part] : [];
  });
}

/** The content of the screen when a key is pressed. */
export interface Shown {
  /** The jobs in the order on the screen. */
  readonly ids: readonly string[];
  /** The number of lines that fit. */
  readonly page: number;
  /** By how many lines the view can be scrolled. */
  readonly maxScroll: number;
}

/** The view to which Escape returns. */
const OUT_OF: Record<Exclude<View, "help">, View> = {
  jobs: "jobs",
  job: "jobs",
  command: "job",
  log: "job",
  tenants: "jobs",
};

/** Returns the state after a key; `"quit"` at the end. Keys that change nothing here are for the caller. */
export function afterKey(state: ScreenState, key: Key, shown: Shown): ScreenState | "quit" {
  if (key === "interrupt") return "quit";
  if (state.isTyping) return afterTyping(state, key);
  const { view } = state;
  const show = (next: View): ScreenState => ({ ...state, view: next, before: view, scroll: 0 });
  const back = () => show(view === "help" ? state.before : OUT_OF[view]);
  const ofJob = view === "job" || view === "command" || view === "log";
  switch (key) {
    case "q":
      return "quit";
    case "escape":
    case "left":
    case "backspace":
      return view === "jobs" ? { ...state, filter: "" } : back();
    case "?":
      return view === "help" ? back() : show("help");
    case "t":
      return view === "tenants" ? back() : show("tenants");
    case "c":
      return view === "command" ? back() : ofJob ? show("command") : state;
    case "l":
      return view === "log" ? back() : ofJob ? show("log") : state;
    case "p":
    case " ":
      return { ...state, isPaused: !state.isPaused };
    case "s":
      return { ...state, order: ORDERS[(ORDERS.indexOf(state.order) + 1) % ORDERS.length] as Order };
    case "/":
      return { ...show("jobs"), isTyping: true };
    case "enter":
    case "right":
      if (view !== "jobs" || shown.ids.length === 0) return state;
      return { ...show("job"), selected: selectedIn(state, shown.ids) };
    default:
      return view === "jobs" ? afterMove(state, key, shown) : afterScroll(state, key, shown);
  }
}

/** Returns the id of the selected job; the first one where the selected job has ended. */
function selectedIn({ selected }: ScreenState, ids: readonly string[]): string | null {
  return selected !== null && ids.includes(selected) ? selected : (ids[0] ?? null);
}

function afterTyping(state: ScreenState, key: Key): ScreenState {
  if (key === "enter") return { ...state, isTyping: false };
  if (key === "escape") return { ...state, isTyping: false, filter: "" };
  if (key === "backspace") return { ...state, filter: [...state.filter].slice(0, -1).join("") };
  return [...key].length === 1 ? { ...state, filter: state.filter + key } : state;
}

function afterMove(state: ScreenState, key: Key, { ids, page }: Shown): ScreenState {
  const step = stepOf(key, page, ids.length);
  if (step === undefined || ids.length === 0) return state;
  const index = ids.indexOf(selectedIn(state, ids) ?? "");
  return { ...state, selected: ids[Math.max(0, Math.min(index + step, ids.length - 1))] ?? null };
}

function afterScroll(state: ScreenState, key: Key, { page, maxScroll }: Shown): ScreenState {
  const step = stepOf(key, page, maxScroll);
  if (step === undefined) return state;
  // The log begins at its end.
  const down = state.view === "log" ? -step : step;
  const scroll = Math.min(state.scroll, maxScroll) + down;
  return { ...state, scroll: Math.max(0, Math.min(scroll, maxScroll)) };
}

function stepOf(key: Key, page: number, all: number): number | undefined {
  const steps: Record<Key, number> = {
    up: -1,
    k: -1,
    down: 1,
    j: 1,
    "page-up": -page,
    "page-down": page,
    home: -all,
    end: all,
  };
  return Object.hasOwn(steps, key) ? steps[key] : undefined;
}
