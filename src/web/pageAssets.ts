import { bundlePage } from "./pageBundle.ts";

/**
 * The files of the page. Run from its sources, ffrtmp bundles them when a server starts. In the executable,
 * scripts/build.ts replaces this module by one that has them as text.
 */
export const pageAssets = await bundlePage();
