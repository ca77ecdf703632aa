/** Where the API is, relative to the page, so that a proxy can serve both below a path. */
const API = "api/v1";
const STORED = "ffrtmp-token";

/** The server wants a token, or another one. */
export class TokenNeeded extends Error {}

export function hasToken(): boolean {
  return sessionStorage.getItem(STORED) !== null;
}

/** Keeps the token until this tab is closed. `undefined` forgets it. */
export function storeToken(token: string | undefined): void {
  if (token === undefined) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, token);
}

/** Requests a document of the API. Throws TokenNeeded, and an Error with the server's reason for any other refusal. */
export async function request(path: string, signal: AbortSignal): Promise<Response> {
  const token = sessionStorage.getItem(STORED);
  // The browser refuses to send it, with the same error as for a server that is not there.
  if (token !== null && !/^[\x21-\x7e]+$/.test(token)) throw new TokenNeeded();
  const response = await fetch(`${API}/${path}`, {
    headers: token === null ? {} : { Authorization: `Bearer ${token}` },
    cache: "no-store",
    signal,
  });
  if (response.status === 401) throw new TokenNeeded();
  if (!response.ok) throw new Error(await refusalOf(response));
  return response;
}

// {"title":"Not Found","status":404,"detail":"there is no job x","next":"…"}
/** Returns the server's reason. https://www.rfc-editor.org/rfc/rfc9457 */
async function refusalOf(response: Response): Promise<string> {
  try {
    return String((await response.json()).detail);
  } catch {
    return `the server answers ${response.status}`;
  }
}

/** Returns the words of a failed request. The browser's own for a server that is not there name no cause. */
export function reasonOf(error: unknown): string {
  if (error instanceof TypeError) return "ffrtmp watch cannot be reached";
  return error instanceof Error ? error.message : String(error);
}
