import { readFileSync } from "node:fs";
import lock from "../../package-lock.json";
import { bundledComponents, licenseText } from "./contents.ts";

/**
 * Returns the copyright holders and licences of a package, in the format of Debian's copyright files. The
 * texts come from the npm packages, so a new dependency needs no change here. `debian`: refers to the licences that each
 * Debian has as files, as its policy demands (12.5), in place of their whole texts.
 */
export function copyrightText(kind: "debian" | "whole" = "whole"): string {
  const bundled = bundledComponents().map((component) => {
    const isOnDebian = kind === "debian" && component.license === "Apache-2.0";
    const text = isOnDebian ? APACHE_ON_DEBIAN : licenseText(component);
    return { ...component, text, holders: holdersIn(text), label: `${component.license}-${component.name}` };
  });
  const holders = ["2026 the ffrtmp authors", ...bundled.flatMap((each) => each.holders), ...RUNTIME_HOLDERS];
  const licenses = ["MIT", ...bundled.map(({ label }) => label), "LGPL-2", "LGPL-2.1"];
  const runtime = lock.packages["node_modules/bun"].version;
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ffrtmp

Files: *
Copyright: 2026 the ffrtmp authors
License: MIT

Files: usr/bin/ffrtmp
Copyright: ${holders.join("\n ")}
License: ${licenses.join(" and ")}
Comment:
 The executable contains the npm packages ${bundled.map(({ name, version }) => `${name} ${version}`).join(", ")}
 and the runtime Bun ${runtime} as its authors publish it, unchanged.
 .
 Bun is under the MIT licence. It links JavaScriptCore and other parts of
 WebKit, which are under the GNU Library General Public License, version 2,
 TinyCC, under the GNU Lesser General Public License, version 2.1, and further
 libraries under licences that ask for no more than their notice. Bun's own
 documents list them, and say how to relink it:
 https://bun.com/docs/project/license
 .
 What Bun links can be exchanged in ffrtmp: scripts/build.ts in its sources
 makes the executable with another build of Bun too.

License: MIT
${field(readFileSync("LICENSE", "utf8").replace(/^.*?\n\n.*?\n\n/s, ""))}

${bundled.map(({ label, text }) => `License: ${label}\n${field(text)}\n`).join("\n")}
License: LGPL-2
 On Debian systems the text is in /usr/share/common-licenses/LGPL-2.

License: LGPL-2.1
 On Debian systems the text is in /usr/share/common-licenses/LGPL-2.1.
`;
}

const APACHE_ON_DEBIAN = "On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.";
const RUNTIME_HOLDERS = ["Oven and the authors of Bun", "Apple Inc. and the authors of WebKit"];

/** Returns the lines that begin with "Copyright" and contain a year, without that word. */
function holdersIn(text: string): string[] {
  return [...text.matchAll(/^\s*Copyright (?:\(c\) )?(.*\d{4}.*)$/gim)].map(([, holder = ""]) =>
    holder.trim(),
  );
}

/** Formats a text as the lines of a field: each begins with a space, and a dot replaces an empty line. */
function field(text: string): string {
  return text
    .trim()
    .split("\n")
    .map((line) => (line.trim() === "" ? " ." : ` ${line.trimEnd()}`))
    .join("\n");
}
