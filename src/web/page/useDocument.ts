import { useEffect, useState } from "preact/hooks";
import { reasonOf, request } from "./api.ts";
import { connection } from "./connection.ts";
import { useShared } from "./shared.ts";

/** A document of the API. `problem`: why it is not there, or is older than it should be. */
export interface Loaded<T> {
  readonly data?: T;
  readonly problem?: string;
}

/** Loads a document, again each `everyMs`, when `version` changes, and when the connection is live again. */
export function useDocument<T>(path: string, version: unknown = 0, everyMs?: number): Loaded<T> {
  const [loaded, setLoaded] = useState<Loaded<T> & { path: string }>({ path });
  const isLive = useShared(connection).kind === "live";
  useEffect(() => {
    const controller = new AbortController();
    const load = async () => {
      try {
        const data = (await (await request(path, controller.signal)).json()) as T;
        if (!controller.signal.aborted) setLoaded({ path, data });
      } catch (error) {
        if (!controller.signal.aborted)
          setLoaded((before) => ({
            ...(before.path === path ? before : { path }),
            problem: reasonOf(error),
          }));
      }
    };
    void load();
    const timer = everyMs === undefined ? undefined : setInterval(load, everyMs);
    return () => {
      clearInterval(timer);
      controller.abort();
    };
  }, [path, version, isLive, everyMs]);
  return loaded.path === path ? loaded : {};
}
