import { readFileSync } from "node:fs";
import { join } from "node:path";
import lock from "../../package-lock.json";

/** One package whose code the executable contains. */
export interface Component {
  name: string;
  version: string;
  license: string;
  /** The checksum of the npm package's archive, as in package-lock.json: `sha512-…` in base64. */
  integrity: string;
  /** The directory in which npm installs the package. */
  path: string;
}

interface LockedPackage {
  version: string;
  integrity: string;
  license: string;
  dev?: boolean;
  optional?: boolean;
}

/** Returns the packages that the bundler compiles in: all but development and optional dependencies. */
export function bundledComponents(): Component[] {
  const packages = Object.entries(lock.packages as unknown as Record<string, LockedPackage>);
  return packages
    .filter(([path, { dev, optional }]) => path !== "" && !dev && !optional)
    .map(([path, locked]) => componentOf(path, locked));
}

/** Returns the runtime, given the path of its npm package for one platform. */
export function runtimeComponent(path: string): Component {
  return componentOf(
    path,
    (lock.packages as unknown as Record<string, LockedPackage>)[path] as LockedPackage,
  );
}

/** Returns the complete licence text of a component. Throws if its package has none. */
export function licenseText({ name, path }: Component): string {
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE"]) {
    try {
      return readFileSync(join(path, file), "utf8");
    } catch {
      // The licence may have another of these names.
    }
  }
  throw new Error(`${name} has no licence file in ${path}: its text has to be in every package of a release`);
}

function componentOf(path: string, { version, integrity, license }: LockedPackage): Component {
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  return { name, version, license, integrity, path };
}
