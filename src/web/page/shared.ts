import { useEffect, useState } from "preact/hooks";

/** A value that several parts of the page show. A component that uses it is rendered again when it changes. */
export class Shared<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set value(next: T) {
    if (next === this.#value) return;
    this.#value = next;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` at each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** Returns the present value, in a component. */
export function useShared<T>(shared: Shared<T>): T {
  const [value, setValue] = useState(shared.value);
  useEffect(() => {
    const update = () => setValue(() => shared.value);
    // It can have changed between the rendering and now.
    update();
    return shared.subscribe(update);
  }, [shared]);
  return value;
}
