import { useRef } from "preact/hooks";
import { signIn } from "./connection.ts";

/** Asks for the token of `--token-file`. */
export function SignIn({ isWrong }: { isWrong: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <main class="sign-in">
      <h1>ffrtmp</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const token = input.current?.value.trim();
          if (token) signIn(token);
        }}
      >
        <label for="token">Token</label>
        <input
          id="token"
          ref={input}
          type="password"
          autocomplete="current-password"
          required
          aria-describedby="token-help"
          aria-invalid={isWrong}
        />
        <button type="submit">Show the jobs</button>
        <p id="token-help">
          It is in the file that ffrtmp watch was given as --token-file. This tab keeps it until it is closed.
        </p>
        <p role="alert">{isWrong && <span class="bad">The server has another token.</span>}</p>
      </form>
    </main>
  );
}
