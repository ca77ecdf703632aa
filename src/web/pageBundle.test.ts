import { expect, test } from "bun:test";
import { bundlePage } from "./pageBundle.ts";
import { compressPage } from "./pageRoutes.ts";

/** A phone on a slow line should show the page in a second. */
const MOST_SCRIPT_BYTES = 40_000;

test("the script of the page is at most 40 kB as it is served", async () => {
  const { "/page.js": script } = await bundlePage();
  const bytes = compressPage(script.text).length;
  console.log(`the script of the page: ${bytes} bytes with gzip, at most ${MOST_SCRIPT_BYTES}`);
  expect(bytes).toBeLessThanOrEqual(MOST_SCRIPT_BYTES);
});

test("the page has nothing inline, and loads nothing from another machine", async () => {
  const { "/": html, "/page.css": style } = await bundlePage();
  expect(html.text).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/i);
  expect([...html.text.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, url]) => url)).toEqual([
    expect.stringMatching(/^data:image\/svg\+xml,/),
    "page.css",
    "page.js",
  ]);
  expect(style.text).not.toMatch(/@import|url\(\s*["']?(?!data:)/i);
});
