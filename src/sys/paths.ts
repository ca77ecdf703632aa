// Paths as text, as node:path handles them on Linux. Loading that takes 0.4 ms, which the start of a workload must not pay.

/** Returns an absolute path without `.`, `..` and double slashes: the last absolute part, followed by those after it. */
export function resolvePath(directory: string, ...parts: string[]): string {
  let path = directory;
  for (const part of parts) path = part.startsWith("/") ? part : `${path}/${part}`;
  // Most are so already. The last condition is also true for names that begin with a dot.
  if (path.startsWith("/") && !path.endsWith("/") && !path.includes("//") && !path.includes("/."))
    return path;
  const names: string[] = [];
  for (const name of namesIn(path)) {
    if (name === "..") names.pop();
    else if (name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** Returns the names in a path, without empty ones. */
export function namesIn(path: string): string[] {
  const names: string[] = [];
  // Not by `split`: each list of another length would take a launch a block of the heap.
  for (let start = 0; start < path.length; ) {
    const slash = path.indexOf("/", start);
    const end = slash < 0 ? path.length : slash;
    if (end > start) names.push(path.slice(start, end));
    start = end + 1;
  }
  return names;
}

/** Returns the last name of a path, without slashes after it. */
export function lastName(path: string): string {
  let end = path.length;
  while (path[end - 1] === "/") end--;
  return path.slice(path.lastIndexOf("/", end - 1) + 1, end);
}
