import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import fc from "fast-check";
import { stringify } from "yaml";
import { Refusal } from "../../jobs/errors.ts";
import { expandTemplate } from "./expand.ts";
import { parseTemplate, type Template } from "./template.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "ffrtmp-test-")));
const under = join(root, "out");
mkdirSync(join(under, "deep"), { recursive: true });
mkdirSync(join(root, "out-side"));
writeFileSync(join(root, "secret.mp4"), "");
writeFileSync(join(under, "there.mp4"), "");
symlinkSync(root, join(under, "up"));
symlinkSync("deep", join(under, "alias"));
symlinkSync("/etc/passwd", join(under, "passwd.mp4"));
symlinkSync(join(root, "missing"), join(under, "dangling.mp4"));
symlinkSync("loop", join(under, "loop"));
afterAll(() => rmSync(root, { recursive: true }));

const TEMPLATE = templateOf({
  command: [
    "ffmpeg",
    "-i",
    "{url}",
    "-vf",
    "scale={n}:{n}",
    "-c",
    "{codec}",
    "-t",
    "{n}",
    "title={title}",
    "{path}",
  ],
  params: {
    url: {
      type: "url",
      schemes: ["https", "rtmp", "srt"],
      hosts: ["*.media.example", "10.0.0.1"],
      ports: [8443],
    },
    n: { type: "number", min: -10, max: 1000 },
    codec: { type: "enum", values: ["libx264", "h264_nvenc"] },
    title: { type: "text", pattern: "[^x]*" },
    path: { type: "path", under, suffix: [".mp4"] },
  },
});

const VALID = {
  url: "https://a.media.example/in.mp4?token=1",
  n: 5,
  codec: "libx264",
  title: "A title",
  path: `${under}/a.mp4`,
};

function templateOf(content: object): Template {
  const parsed = parseTemplate(stringify(content));
  if ("faults" in parsed) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
}

function expandWith(change: object, template = TEMPLATE): string[] {
  return expandTemplate(template, { job: "job-1", attempt: 2, params: { ...VALID, ...change } });
}

/** Returns the arguments as the only element, or nothing where the values are refused. Any other error is a fault. */
function tryWith(change: object): string[][] {
  try {
    return [expandWith(change)];
  } catch (error) {
    if (error instanceof Refusal) return [];
    throw error;
  }
}

test("each word of a template is one argument", () => {
  expect(expandWith({})).toEqual([
    ...["ffmpeg", "-i", VALID.url, "-vf", "scale=5:5", "-c", "libx264", "-t", "5", "title=A title"],
    `${under}/a.mp4`,
  ]);
  expect(expandWith({ path: `${under}/alias/b.mp4` }).at(-1)).toBe(`${under}/deep/b.mp4`);
  expect(expandWith({ path: `${under}/there.mp4` }).at(-1)).toBe(`${under}/there.mp4`);
});

test("the job and its attempt can be in an argument, and in the name of a file", () => {
  const template = templateOf({
    command: ["ffmpeg", "{out}", "/srv/{job}/{attempt}.ts"],
    params: { out: { type: "path", under, suffix: [".mp4"], insert: ".{job}.{attempt}" } },
  });
  const values = { job: "job-1", attempt: 2, params: { out: `${under}/a.mp4` } };
  expect(expandTemplate(template, values)).toEqual(["ffmpeg", `${under}/a.job-1.2.mp4`, "/srv/job-1/2.ts"]);
});

test("a path can have to exist, or not to", () => {
  const of = (exists: boolean) =>
    templateOf({ command: ["cat", "{p}"], params: { p: { type: "path", under, exists } } });
  const values = (name: string) => ({ job: "j", attempt: 1, params: { p: `${under}/${name}` } });
  expect(expandTemplate(of(true), values("there.mp4"))).toHaveLength(2);
  expect(() => expandTemplate(of(true), values("none.mp4"))).toThrow("does not exist");
  expect(expandTemplate(of(false), values("none.mp4"))).toHaveLength(2);
  expect(() => expandTemplate(of(false), values("there.mp4"))).toThrow("exists already");
});

test.each([
  [{ n: undefined }, "the parameter n has no value"],
  [{ more: 1 }, 'no parameter "more"'],
  [{ constructor: "x" }, 'no parameter "constructor"'],
  [{ n: 1001 }, "is not between -10 and 1000"],
  [{ n: -5 }, "would begin with -"],
  [{ n: "5e2" }, "is not a plain decimal number"],
  [{ n: "0x10" }, "is not a plain decimal number"],
  [{ n: Number.NaN }, "is not a plain decimal number"],
  [{ n: "5\n" }, "is not a plain decimal number"],
  [{ codec: "h265" }, "is not one of libx264, h264_nvenc"],
  [{ codec: 5 }, "is a number, not a text"],
  [{ title: "-y" }, "begins with -"],
  [{ title: "a\nb" }, "contains a control character"],
  [{ title: "a\u202eb" }, "contains a control character"],
  [{ title: "a\ud800" }, "contains a control character"],
  [{ title: "x" }, "does not match the pattern"],
  [{ path: "a.mp4" }, "is not an absolute path"],
  [{ path: "concat:/etc/passwd|/x.mp4" }, "is not an absolute path"],
  [{ path: "pipe:1" }, "is not an absolute path"],
  [{ path: `file:${under}/a.mp4` }, "is not an absolute path"],
  [{ path: `${under}/../secret.mp4` }, "is not in its shortest form"],
  [{ path: `${under}//a.mp4` }, "is not in its shortest form"],
  [{ path: `${under}-side/a.mp4` }, "is not below"],
  [{ path: "/etc/a.mp4" }, "is not below"],
  [{ path: "/no/such/directory/a.mp4" }, "is not below"],
  [{ path: `${under}-side/none/a.mp4` }, "is not below"],
  [{ path: `${under}/up/secret.mp4` }, "is not below"],
  [{ path: `${under}/loop/a.mp4` }, "cannot be used"],
  [{ path: `${under}/none/a.mp4` }, "cannot be used"],
  [{ path: `${under}/passwd.mp4` }, "is a symbolic link"],
  [{ path: `${under}/dangling.mp4` }, "is a symbolic link"],
  [{ path: `${under}/deep` }, "does not end with .mp4"],
  [{ path: `${under}/.mp4` }, "has no name before its suffix"],
  [{ path: `${under}/%d.mp4` }, "have a meaning"],
  [{ path: `${under}/a|b.mp4` }, "have a meaning"],
  [{ path: `${under}/${"a".repeat(300)}.mp4` }, "has too long a name"],
  [{ url: "http://a.media.example/" }, "has the scheme http"],
  [{ url: "https://media.example/" }, "has the host media.example"],
  [{ url: "https://evilmedia.example/" }, "has the host"],
  [{ url: "https://a.media.example.evil.example/" }, "has the host"],
  [{ url: "https://a.media.example@evil.example/" }, "is not a URL"],
  [{ url: "https://evil.example\\@a.media.example/" }, "is not a URL"],
  [{ url: "https://evil.example#@a.media.example/" }, "is not a URL"],
  [{ url: "https://evil.example/.media.example" }, "has the host"],
  [{ url: "https://a.media.example./" }, "has the host"],
  [{ url: "https://a.media.example:8444/" }, "has the port 8444"],
  [{ url: "https://a.media.example:443/" }, "has the port 443"],
  [{ url: "https://A.media.example/" }, "is not a URL"],
  [{ url: "https://ä.media.example/" }, "is not a URL"],
  [{ url: "https://a。media.example/" }, "is not a URL"],
  [{ url: "https://10.0.0.2/" }, "has the host"],
  [{ url: "https://0x0a000001/" }, "has the host"],
  [{ url: "https://[::1]/" }, "has the host"],
  [{ url: "https:/a.media.example/" }, "is not a URL"],
  [{ url: "https:a.media.example/" }, "is not a URL"],
  [{ url: "https://a.media.example/\n" }, "is not a URL"],
  [{ url: "srt://a.media.example:8443?mode=listener" }, "has a query, which for srt is an option"],
  [{ url: "https://xn--a.media.example/" }, "has no valid host"],
])("%j is refused, with the reason", (change, text) => {
  expect(() => expandWith(change)).toThrow(text);
});

test("a wildcard of all hosts means names, and no addresses", () => {
  const template = templateOf({
    command: ["curl", "{u}"],
    params: { u: { type: "url", schemes: ["https"], hosts: ["*"] } },
  });
  const expand = (u: string) => expandTemplate(template, { job: "j", attempt: 1, params: { u } });
  expect(expand("https://any.example/a")[1]).toBe("https://any.example/a");
  for (const host of ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "a.0x7f", "[::1]", "[::ffff:127.0.0.1]"])
    expect(() => expand(`https://${host}/`)).toThrow("is refused");
});

// ---- Any value at all ----

const PIECES = [
  ...[
    "https:",
    "rtmp:",
    "srt:",
    "file:",
    "concat:",
    "pipe:1",
    "data:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    "?",
    "#",
    "%",
    "|",
  ],
  ...[
    "a.media.example",
    "media.example",
    "evil.example",
    "10.0.0.1",
    "127.1",
    "[::1]",
    "0x7f",
    "xn--",
    ".",
    "..",
    "-",
  ],
  ...[
    under,
    root,
    "up",
    "alias",
    "deep",
    "loop",
    "there",
    "passwd",
    "dangling",
    ".mp4",
    "/..",
    "/.",
    "~",
    "$(id)",
    "`id`",
  ],
  ...[
    "\0",
    "\n",
    "\r",
    "\t",
    " ",
    "\u202e",
    "\u2028",
    "\ud800",
    "\u00ad",
    "\u200d",
    "。",
    "／",
    "．",
    "ﬀ",
    "İ",
    "ß",
    "'",
    '"',
    ";",
    "&&",
  ],
  ...["%00", "%2e%2e", "%0a", "%d", ":8443", ":443", "user:pw@", "-i", "--", "-1", "1e9", "NaN", "Infinity"],
];
const hostile = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((parts) => parts.join("")),
  },
  { weight: 2, arbitrary: fc.string({ unit: "binary", maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }) },
);
const url = fc.oneof(
  hostile,
  fc.tuple(hostile, hostile, hostile).map(([a, b, c]) => `https://${a}a.media.example${b}/${c}`),
  fc.tuple(fc.constantFrom("https", "rtmp", "srt"), hostile).map(([scheme, rest]) => `${scheme}://${rest}`),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc
    .tuple(
      fc.constantFrom("a", "a.b", "-a", "a-", "A", "xn--4ca", "", "a.media.example@", "1"),
      fc.constantFrom("", ":8443", ":443", ":", ":08443", "@evil.example", "\\", "."),
      fc.constantFrom(
        "",
        "/",
        "/a?b=c",
        "?a",
        "#a",
        "/%00",
        "/a b",
        "//evil.example",
        "/..",
        "/@evil.example",
      ),
    )
    .map(([label, after, rest]) => `https://${label}.media.example${after}${rest}`),
);
const path = fc.oneof(
  hostile,
  hostile.map((text) => `${under}/${text}.mp4`),
  fc
    .array(fc.constantFrom("up", "alias", "deep", "loop", "out", "a", "..", ".", "", "etc", "-x"), {
      maxLength: 6,
    })
    .map((parts) => `${under}/${parts.join("/")}/a.mp4`),
);
/** Changes one value, so that the others do not hide what becomes of it. */
const change = fc.oneof(
  url.map((value) => ({ url: value })),
  path.map((value) => ({ path: value })),
  hostile.map((value) => ({ title: value })),
  hostile.map((value) => ({ codec: value })),
  fc.oneof(hostile, fc.double(), fc.integer().map(String)).map((value) => ({ n: value })),
);

test("whatever the values, there is one argument for each word, and the program is the template's: no shell", () => {
  const literals = [
    [0, "ffmpeg"],
    [1, "-i"],
    [3, "-vf"],
    [5, "-c"],
    [7, "-t"],
  ] as const;
  const accepted = countAccepted(change, (argv) => {
    expect(argv).toHaveLength(TEMPLATE.command.length);
    for (const [index, text] of literals) expect(argv[index]).toBe(text);
  });
  expect(accepted).toBeGreaterThan(200);
});

test("whatever the values, no argument with one of them begins with -", () => {
  const accepted = countAccepted(change, (argv) => {
    for (const index of [2, 4, 6, 8, 9, 10]) expect(argv[index]).not.toStartWith("-");
  });
  expect(accepted).toBeGreaterThan(200);
});

test("whatever the values, no argument contains NUL, a line break, or another invisible character", () => {
  const accepted = countAccepted(change, (argv) => {
    expect(argv.join("").isWellFormed()).toBe(true);
    expect(argv.join("")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });
  expect(accepted).toBeGreaterThan(200);
});

test("whatever the path, the argument is a file directly in a real directory below the allowed one", () => {
  const accepted = countAccepted(
    path.map((value) => ({ path: value })),
    (argv) => {
      const found = argv.at(-1) ?? "";
      expect(`${realpathSync(dirname(found))}/`).toStartWith(`${under}/`);
      expect(dirname(found)).toBe(realpathSync(dirname(found)));
      expect(basename(found)).toMatch(/^.+\.mp4$/);
      expect(["passwd.mp4", "dangling.mp4"]).not.toContain(basename(found));
      expect(found).not.toContain("%");
    },
  );
  expect(accepted).toBeGreaterThan(30);
});

test("whatever the URL, two other parsers find an allowed scheme, host and port in it, and no user", () => {
  const accepted = countAccepted(
    url.map((value) => ({ url: value })),
    ([, , found = ""]) => {
      const ours = new URL(found.replace(/^(rtmp|srt):/, "https:"));
      expect(ours.username + ours.password).toBe("");
      const others = { scheme: new URL(found).protocol.slice(0, -1), host: ours.hostname, port: ours.port };
      for (const { scheme, host, port } of [others, splitAsFfmpeg(found)]) {
        expect(["https", "rtmp", "srt"]).toContain(scheme);
        expect(host === "10.0.0.1" || host.endsWith(".media.example")).toBe(true);
        expect(["", "8443"]).toContain(port);
      }
    },
  );
  expect(accepted).toBeGreaterThan(30);
});

/** Checks the arguments of all values that are accepted. Returns their number: of none, a property says nothing. */
function countAccepted(values: fc.Arbitrary<object>, check: (argv: string[]) => void): number {
  let accepted = 0;
  fc.assert(
    fc.property(values, (each) => {
      for (const argv of tryWith(each)) {
        accepted++;
        check(argv);
      }
    }),
    { numRuns: 5000 },
  );
  return accepted;
}

/** As av_url_split() in libavformat/utils.c does. */
function splitAsFfmpeg(text: string): { scheme: string; host: string; port: string } {
  const colon = text.indexOf(":");
  const rest = text.slice(colon + 1).replace(/^\/{0,2}/, "");
  const end = rest.search(/[/?#]/);
  const authority = end < 0 ? rest : rest.slice(0, end);
  const hostport = authority.slice(authority.lastIndexOf("@") + 1);
  const [, host = "", port = ""] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(hostport) ?? [];
  return { scheme: text.slice(0, colon), host, port };
}
