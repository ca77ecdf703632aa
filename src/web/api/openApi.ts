import document from "../../../packaging/openapi.json" with { type: "file" };

let text: Promise<string> | undefined;

/** Returns the description of the API, which the executable contains: scripts/openApi.ts. */
export function openApiText(): Promise<string> {
  // The type definitions know the content of the file, and the bundler returns its path.
  text ??= Bun.file(document as unknown as string).text();
  return text;
}
