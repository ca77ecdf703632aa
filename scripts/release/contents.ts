import { readFileSync } from "node:fs";
import { join } from "node:path";
import lock from "../../package-lock.json";

/** One package whose code the executable contains. */
export interface Component {
  name: string;
  version: string;
  license: string;
  /** Of the npm package's archive, as package-lock.json has it: `sha512-…` in base64. */
  integrity: string;
  /** Where npm installs it. */
  path: string;
}

interface LockedPackage {
  version: string;
  integrity: string;
  license: string;
  dev?: boolean;
  optional?: boolean;
}

/** Compiled in by the bundler: everything that is no dependency of development. */
export function bundledComponents(): Component[] {
  const packages = Object.entries(lock.packages as unknown as Record<string, LockedPackage>);
  return packages
    .filter(([path, { dev, optional }]) => path !== "" && !dev && !optional)
    .map(([path, locked]) => componentOf(path, locked));
}

/** The runtime, by the path of its npm package for one platform. */
export function runtimeComponent(path: string): Component {
  return componentOf(
    path,
    (lock.packages as unknown as Record<string, LockedPackage>)[path] as LockedPackage,
  );
}

/** The whole text of a component's licence; throws where its package holds none. */
export function licenseText({ name, path }: Component): string {
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE"]) {
    try {
      return readFileSync(join(path, file), "utf8");
    } catch {
      // Under another name.
    }
  }
  throw new Error(`${name} has no licence file in ${path}: its text has to be in every package of a release`);
}

function componentOf(path: string, { version, integrity, license }: LockedPackage): Component {
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  return { name, version, license, integrity, path };
}
