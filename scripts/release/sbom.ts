import { join } from "node:path";
import { bundledComponents, type Component, runtimeComponent } from "./contents.ts";
import type { Platform } from "./platform.ts";
import { run } from "./run.ts";
import type { Release } from "./version.ts";

interface SbomComponent {
  "bom-ref": string;
  [field: string]: unknown;
}

interface Sbom {
  serialNumber: string;
  metadata: { timestamp: string; component: SbomComponent };
  components: SbomComponent[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

/**
 * Writes ffrtmp-VERSION.cdx.json in the CycloneDX format: npm's own list of the bundled packages, and the
 * runtime of each platform. npm considers the runtimes development tools, but the executables contain them.
 */
export async function writeSbom(release: Release, platforms: Platform[], directory: string): Promise<string> {
  const sbom = JSON.parse(
    run(["npm", "sbom", "--sbom-format=cyclonedx", "--sbom-type=application", "--package-lock-only"]),
  ) as Sbom;
  keepOnly(sbom, bundledComponents().map(refOf));

  const own = sbom.metadata.component;
  own["name"] = "ffrtmp";
  own["properties"] = [];
  const runtimes = platforms.map(({ runtime }) => runtimeComponent(runtime));
  sbom.components.push(...runtimes.map(describeRuntime));
  sbom.dependencies.find(({ ref }) => ref === own["bom-ref"])?.dependsOn.push(...runtimes.map(refOf));
  sbom.dependencies.push(...runtimes.map((component) => ({ ref: refOf(component), dependsOn: [] })));
  sbom.metadata.timestamp = new Date(release.epochSec * 1000).toISOString();
  sbom.serialNumber = "";
  sbom.serialNumber = `urn:uuid:${uuidOf(JSON.stringify(sbom))}`;

  const file = join(directory, `ffrtmp-${release.version}.cdx.json`);
  await Bun.write(file, `${JSON.stringify(sbom, null, 2)}\n`);
  return file;
}

/** Removes all other components. npm's own --omit=dev also omits what a development tool uses too. */
function keepOnly(sbom: Sbom, refs: string[]): void {
  const listed = sbom.components.map((component) => component["bom-ref"]);
  const missing = refs.filter((ref) => !listed.includes(ref));
  if (missing.length > 0) throw new Error(`npm's SBOM lacks ${missing.join(", ")}`);
  const kept = [sbom.metadata.component["bom-ref"], ...refs];
  sbom.components = sbom.components.filter((component) => refs.includes(component["bom-ref"]));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => kept.includes(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => refs.includes(other)) }));
}

function describeRuntime(component: Component): SbomComponent {
  const { name, version, license, integrity } = component;
  const content = Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex");
  return {
    "bom-ref": refOf(component),
    type: "platform",
    name,
    version,
    scope: "required",
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    hashes: [{ alg: "SHA-512", content }],
    licenses: [{ license: { id: license } }],
  };
}

function refOf({ name, version }: Component): string {
  return `${name}@${version}`;
}

/** Returns a UUID that depends on the content alone: RFC 9562, version 8. */
function uuidOf(text: string): string {
  const hex = new Bun.CryptoHasher("sha256").update(text).digest("hex");
  const variant = ((Number.parseInt(hex[16] as string, 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    variant + hex.slice(17, 20),
    hex.slice(20, 32),
  ].join("-");
}
