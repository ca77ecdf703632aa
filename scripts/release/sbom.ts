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
 * Writes ffrtmp-VERSION.cdx.json, CycloneDX: npm's own list of the bundled packages, and what npm counts among the
 * tools of development but the executables contain, the runtime for each platform.
 */
export async function writeSbom(release: Release, platforms: Platform[], directory: string): Promise<string> {
  const sbom = JSON.parse(
    run([
      "npm",
      "sbom",
      "--sbom-format=cyclonedx",
      "--sbom-type=application",
      "--package-lock-only",
      "--omit=dev",
    ]),
  ) as Sbom;
  const listed = new Set(sbom.components.map((component) => component["bom-ref"]));
  for (const component of bundledComponents())
    if (!listed.has(refOf(component))) throw new Error(`npm's SBOM lacks ${refOf(component)}`);

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

/** The same content has the same number, and other content another: RFC 9562, version 8. */
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
