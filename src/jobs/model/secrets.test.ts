import { describe, expect, it } from "bun:test";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import fc from "fast-check";
import { maskSecrets, maskText, maskVariable, shownCommand, trueCommand } from "./secrets.ts";

const LETTERS = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"];
const MARKS = [..."-_~.!*"];

/** Secrets as platforms make them. A mark at either end could be punctuation of the text around it. */
const secret = fc
  .tuple(
    fc.string({ unit: fc.constantFrom(...LETTERS), minLength: 3, maxLength: 8 }),
    fc.string({ unit: fc.constantFrom(...LETTERS, ...MARKS), minLength: 4, maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(...LETTERS), minLength: 3, maxLength: 4 }),
  )
  .map((parts) => parts.join(""));

const OPTIONS = [
  ...[
    "-headers",
    "-cookies",
    "-decryption_key",
    "-decryption_keys",
    "-cenc_decryption_key",
    "-encryption_key",
  ],
  ...["-key", "-passphrase", "-password", "-rtmp_playpath", "-rtmp_conn", "-rtmp_swfhash", "-srt_streamid"],
  ...["-streamid", "-hls_enc_key", "-secret", "-activation_bytes", "-authorization", "-srtp_out_params"],
  ...[
    "-post_data",
    "-audible_key",
    "-cryptokey",
    "--token",
    "--api-key",
    "--TOKEN",
    "-KEY",
    "--client-secret",
  ],
];

/** The ways to pass the value of an option: as the next word, attached, and within scripts, quoted or not. */
const WITH_OPTION: ((option: string, key: string) => string[])[] = [
  (option, key) => [option, key],
  (option, key) => [option, `A: ${key} x`],
  (option, key) => [`${option}=${key}`],
  (option, key) => ["sh", "-c", `x ${option} ${key} y`],
  (option, key) => ["sh", "-c", `x ${option} '${key} z' y`],
  (option, key) => ["sh", "-c", `x ${option} "a ${key} z" y`],
  (option, key) => ["ssh", "h", `bash -c "x ${option} \\"a ${key} z\\" y"`],
  (option, key) => ["python3", "-c", `run(["x","${option}","${key}"])`],
  (option, key) => ["python3", "-c", `run(['x', '${option}', 'a ${key} c', 'b'])`],
];

const SHAPES: ((key: string) => string[])[] = [
  ...OPTIONS.flatMap((option) => WITH_OPTION.map((shape) => (key: string) => shape(option, key))),
  // RTMP
  (key) => [`rtmp://h/app/${key}`],
  (key) => [`RTMPS://h:443/app/${key}`],
  (key) => [`rtmp://h/${key}`],
  (key) => [`/srv/rtmp:/h/app/${key}`],
  (key) => [`rtmp://h/app/${key}/`],
  (key) => [`rtmp://h/app/instance/${key}`],
  (key) => [`rtmp://h/app/mp4:${key}/${key}`],
  (key) => [`rtmp://h/app/stream?auth=${key}`],
  (key) => [`rtmpt://h/app/x/y?any=${key}&b=1`],
  (key) => [`rtmp://h/app?token=x/${key}`],
  (key) => [`[f=flv]rtmp://a/b/${key}|[f=flv:onfail=ignore]rtmp://c/d/${key}|out.mp4`],
  (key) => [`[f=flv:rtmp_playpath=${key}]rtmp://a/b`],
  (key) => [`[f=flv]rtmp://a/b/x\\|${key}|[f=mpegts]udp://h:1`],
  (key) => ["sh", "-c", `ffmpeg -f flv rtmp://h/app/'${key}' -y`],
  (key) => ["sh", "-c", `ffmpeg -f flv "rtmp://h/app/"${key} -y`],
  (key) => ["sh", "-c", `ffmpeg -f flv "rtmp://h/app/""${key}" -y`],
  (key) => ["gst-launch-1.0", "rtmpsink", `location=rtmp://h/app/${key} live=1`],
  (key) => ["rtmpsink", `location="rtmp://h/app/${key} live=1"`],
  (key) => ["rtmpsink", `location=rtmp://h/app/x playpath=${key} live=1`],
  (key) => ["rtmpsink", `location=rtmp://h/app/x live=1 conn=S:${key} token=${key}`],
  (key) => ["rtmp2sink", `stream=${key}`],
  (key) => ["rtmpdump", "-r", "rtmp://h/app", "-y", key],
  (key) => ["rtmpdump", "-C", `S:${key}`],
  (key) => ["sh", "-c", `ffmpeg -i x -f flv "rtmp://h/app/${key}" 2>/dev/null`],
  (key) => ["sh", "-c", `ffmpeg -i x rtmp://h/app/${key}; echo done`],
  (key) => ["sh", "-c", `KEY=${key}; ffmpeg -i x`],
  // other URLs
  (key) => [`rtsp://admin:${key}@cam:554/stream`],
  (key) => [`rtsp://admin:${key}/x@cam/stream`],
  (key) => [`rtsp://admin:a@${key}@cam/stream`],
  (key) => ["sh", "-c", `ffmpeg -i rtsp://admin:"${key}"@cam/x`],
  (key) => ["sh", "-c", `curl https://h/x?sig="${key}"`],
  (key) => [`https://${key}@h/x`],
  (key) => [`https://user:${key}`],
  (key) => ["-http_proxy", `http://user:${key}@proxy:3128`],
  (key) => ["-x", `user:${key}@proxy:3128`],
  (key) => [`srt://h:9000?mode=caller&streamid=#!::r=${key},m=publish&latency=1`],
  (key) => [`srt://h:9000?passphrase=${key}&pbkeylen=16`],
  (key) => [`[f=mpegts:passphrase=${key}:pkt_size=1316]srt://h:1`],
  (key) => [`[f=mpegts:passphrase="${key}"]srt://h:1`],
  (key) => ["srtsink", "uri=srt://h:1", `passphrase=${key} ${key}`],
  (key) => [`https://h/x?X-Amz-Signature=${key}&b=c`],
  (key) => [`https://h/x?X-Amz-Credential=${key}%2F20261126`],
  (key) => [`https://h/x?b=c&Policy=${key}&Key-Pair-Id=${key}#a`],
  (key) => [`https://h/x?sv=2024&sig=${key}`],
  (key) => [`https://h/x?access_key=${key}`],
  (key) => [`https://h/x?txSecret=${key}&txTime=1`],
  (key) => [`https://h/x?wmsAuthSign=${key}`],
  (key) => [`https://h/#access_token=${key}`],
  (key) => [`https://h/token=${key}/index.m3u8`],
  // percent-encoded, and escaped for JSON
  (key) => [`https://h/?u=rtmp%3A%2F%2Fh%2Fapp%2F${key}`],
  (key) => [`rtmp%3a%2f%2fh%2fapp%2f${key}`],
  (key) => [`https://h/?u=token%3D${key}`],
  (key) => [`https://h/?pass%70hrase=${key}`],
  (key) => [`https://h/?u=https%253A%252F%252Fu%253A${key}%2540h%252F`],
  (key) => [`{"url":"rtmp:\\/\\/h\\/app\\/${key}"}`],
  // headers, variables and documents
  (key) => [`Authorization: Bearer ${key}`],
  (key) => ["-x", `X: y\r\nCookie: a=${key}; b=${key}\r\n`],
  (key) => ["-x", `X: y\\r\\nCookie: a=${key}; b=${key}\\r\\nX: y`],
  (key) => ["souphttpsrc", `extra-headers=headers,Authorization="Bearer ${key}"`],
  (key) => ["souphttpsrc", `user-pw=${key}`],
  (key) => ["env", `RTMP_KEY=${key}`, `DB_PASSWORD=${key}`, "ffmpeg"],
  (key) => [`{"token":"${key}"}`],
  (key) => [`{"a":1,"stream_key": "${key}","b":2}`],
  (key) => [`{'password' : '${key}'}`],
  // other programs
  (key) => ["curl", "-u", `me:${key}`],
  (key) => ["curl", `-ume:${key}`],
  (key) => ["N_m3u8DL-RE", "-H", `X-Any: ${key}`],
  (key) => ["yt-dlp", "--add-header", `X-Any:${key}`],
  (key) => ["sh", "-c", `hls -H 'X-Any: ${key}' https://h`],
  (key) => ["mysql", `-p${key}`, "db"],
  (key) => ["env", `PASS=${key}`, `RTMP_PASS=${key}`],
  (key) => ["/usr/bin/curl", "-sSH", `X-Any: ${key}`],
  (key) => ["curl", "--user", `me:${key}`],
  (key) => ["wget", `--header=X-Any: ${key}`, `--password=${key}`],
  (key) => ["sshpass", "-p", key],
  (key) => ["sshpass", `-p${key}`],
  (key) => ["sh", "-c", `curl -u me:${key} https://h | tee x`],
];

const BENIGN_WORDS = [
  ...["ffmpeg", "-i", "in.mp4", "-c:v", "libx264", "-g", "50", "it's", "a b", "x=y", "-re", "-f", "flv", "!"],
  ...["[0:v]scale=1:2[o]", "https://h/x?a=b", '"q"'],
];
const others = fc.array(fc.constantFrom(...BENIGN_WORDS), { maxLength: 4 });

describe("maskSecrets()", () => {
  it("masks every planted secret, whatever text is around it", () => {
    const planted = fc.record({
      key: secret,
      shape: fc.constantFrom(...SHAPES),
      before: others,
      after: others,
    });
    fc.assert(
      fc.property(planted, ({ key, shape, before, after }) => {
        const shown = maskSecrets([...before, ...shape(key), ...after]).join(" ");
        // Neither in full nor without its first or last characters.
        return !shown.includes(key.slice(2)) && !shown.includes(key.slice(0, -2));
      }),
      { numRuns: 10_000 },
    );
  });

  it.each(SHAPES.map((shape) => shape("Zk3yS3cretV4lue")))("masks it in %j", (...argv) => {
    const words = argv.filter((word) => typeof word === "string");
    expect(maskSecrets(words).join(" ")).not.toContain("Zk3y");
    expect(maskSecrets(words).join(" ")).toContain("***");
  });

  it.each([
    ["rtmp://live.example.com/app/KEY", "rtmp://live.example.com/app/***"],
    ["rtmp://h/app/instance/KEY/KEY", "rtmp://h/app/instance/***"],
    ["rtmps://h:443/rtmp/FB-1?a=KEY&s_bl=1", "rtmps://h:443/rtmp/***?a=***&s_bl=***"],
    ["rtmp://h/app/", "rtmp://h/app/"],
    ["srt://h:9?mode=caller&streamid=KEY&latency=20", "srt://h:9?mode=caller&streamid=***&latency=20"],
    ["rtsp://u:KEY@[::1]:554/live", "rtsp://***@[::1]:554/live"],
    ["https://h/x?X-Amz-Signature=KEY&Expires=300", "https://h/x?X-Amz-Signature=***&Expires=300"],
    ["https://h/x?h=9e107d9d372bb6826bd81d3542a419d6&e=17", "https://h/x?h=***&e=17"],
    ["https://h/x?9e107d9d372bb6826bd81d3542a419d6", "https://h/x?***"],
    ["[f=flv]rtmp://a/b/KEY|[f=mpegts]srt://c:1", "[f=flv]rtmp://a/b/***|[f=mpegts]srt://c:1"],
    ["location=rtmp://h/app/KEY live=1", "location=rtmp://h/app/*** live=1"],
    ["--api-key=KEY", "--api-key=***"],
    [
      'exec ffmpeg -headers "A: KEY" -i "https://u:KEY@h/x"',
      'exec ffmpeg -headers "***" -i "https://***@h/x"',
    ],
    ['{"url":"rtmp://h/app/KEY","title":"a"}', '{"url":"rtmp://h/app/***","title":"a"}'],
    ['{"stream_key":"KEY","title":"a b"}', '{"stream_key":"***","title":"a b"}'],
    ["https://h/?u=rtmp%3A%2F%2Fh%2Fapp%2FKEY", "https://h/?u=rtmp%3A%2F%2Fh%2Fapp%2F***"],
  ])("keeps the structure of %s", (word, shown) => {
    expect(maskSecrets([word])).toEqual([shown]);
  });

  it.each([
    [["ffmpeg", "-i", "in.mp4", "-c:v", "libx264", "-crf", "23", "-g", "50", "-pass", "1", "out_%03d.ts"]],
    [["-force_key_frames", "expr:gte(t,n_forced*2)", "-x264-params", "keyint=250:min-keyint=25"]],
    [
      [
        "-keyint_min",
        "25",
        "-skip_frame",
        "nokey",
        "-hls_key_info_file",
        "/etc/k.info",
        "-auth_type",
        "basic",
      ],
    ],
    [["-passlogfile", "/tmp/pass", "-pass", "2", "-pbkeylen", "16", "-key_file", "/etc/key.pem"]],
    [["-vf", "chromakey=0x00FF00:0.1,colorkey=green,lowpass=f=300,scale@x=640:360,drawtext=text='a b: c'"]],
    [["-filter_complex", "[0:v][1:v]overlay@o=10:10[out];[out]split=2[a][b]", "-map", "0:v"]],
    [["ffprobe", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "file:///srv/in.mp4"]],
    [["gst-launch-1.0", "x264enc", "key-int-max=60", "pass=qual", "!", "filesink", "location=/srv/it.mp4"]],
    [["sh", "-c", "for i in 1 2; do sleep 60; done | tee -a /var/log/x.log"]],
    [["udp://239.0.0.1:1234?pkt_size=1316&fifo_size=1000000", "https://h/live/index.m3u8?start=10"]],
    [["--max-tokens", "100", "--public-key", "abc", "rtmp://h", "a@b.c", "git@h:x/y.git", "Ünï 視頻", ""]],
  ])("leaves %j alone", (argv) => {
    expect(maskSecrets(argv)).toEqual(argv);
    expect(maskText(argv.join(" "))).toBe(argv.join(" "));
  });
});

const FRAGMENTS = [
  ...[
    "rtmp://",
    "https://",
    "h",
    "/",
    "app",
    "?",
    "&",
    "=",
    "key",
    "token",
    "-key",
    "--password",
    "sig",
    ":",
  ],
  ...[
    "@",
    "a:b@h",
    '"',
    "'",
    "\\",
    '\\"',
    "`",
    " ",
    "\n",
    "\r\n",
    "\\n",
    "|",
    "[",
    "]",
    ",",
    ";",
    "%",
    "%3A",
  ],
  ...[
    "Authorization: Bearer x",
    "authorization",
    "%2F",
    "%253A",
    "%22",
    "%20",
    "#",
    "***",
    "curl",
    "-u",
    "-c",
  ],
  ...[
    "{",
    "}",
    "!",
    "\\/",
    "://",
    ":\\/\\/",
    "a",
    "Z9",
    "bearer",
    "=1",
    "headers",
    "cookie",
    "-H",
    ".",
    "x.y",
  ],
  ...["passphrase=x", "rtmp2sink", "stream=", "u:p@ss@h.io", "[::1]", ":80", "\ud800", "\0"],
];
const fragment = fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 3 }));
const hostile = fc.array(fragment, { maxLength: 14 }).map((fragments) => fragments.join(""));

describe("the masks of any text", () => {
  it("stay the same when they are masked again", () => {
    fc.assert(
      fc.property(fc.array(hostile, { maxLength: 4 }), (argv) => {
        const masked = maskSecrets(argv);
        expect(masked).toHaveLength(argv.length);
        expect(maskSecrets(masked)).toEqual(masked);
        const text = maskText(argv.join(" "));
        expect(maskText(text)).toBe(text);
      }),
      { numRuns: 10_000 },
    );
  });

  // With a quadratic step, one of these would take hours.
  it.each([
    ...["%25", "a:@", '\\"', "=", "key=", "://", "a://", "a", "\"'", '"a ', "rtmp://a/b,", "?a&", "-key "],
    ...[
      "'\\'' ",
      "\\",
      "[f:key=a",
      "x:key=v:",
      "(",
      "api_keyX=",
      "Authorization: ",
      "{'key': ",
      "a.b-c_",
      "%",
      "\\rcookie=x",
      "user:",
      "*a://",
      "=a://",
      "a://b?c=d*",
      "*a://?x=",
    ],
  ])("take time in proportion to its length: %j", (part) => {
    const text = part.repeat(500_000 / part.length);
    expect(maskText(text).length).toBeLessThanOrEqual(text.length * 4);
    expect(maskSecrets([text, text])).toHaveLength(2);
  });
});

describe("a text that repeats itself", () => {
  it("ends, and neither throws nor leaves a secret, whatever it repeats", () => {
    const part = fc.array(fc.constantFrom(...FRAGMENTS), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.constantFrom(...FRAGMENTS, ""), part, (start, fragments) => {
        const repeated = fragments.join("");
        const text = start + repeated.repeat(20_000 / repeated.length);
        const shown = maskSecrets([text, "-passphrase", "Zk3yS3cretV4lue", "rtmp://h/app/Zk3yS3cretV4lue"]);
        expect(shown.join(" ")).not.toContain("Zk3y");
      }),
      { numRuns: 300 },
    );
  });
});

describe("the launch path of `run`", () => {
  it("does not load the mask, which would delay the workload", () => {
    const loaded = new Set<string>();
    const load = (file: string): void => {
      if (loaded.has(file)) return;
      loaded.add(file);
      for (const { kind, path } of new Bun.Transpiler({ loader: "ts" }).scanImports(readFileSync(file)))
        if (kind === "import-statement" && path.startsWith(".") && path.endsWith(".ts"))
          load(join(dirname(file), path));
    };
    for (const file of ["main.ts", "cli/commands/run.ts"]) load(join(import.meta.dir, "../..", file));
    const names = [...loaded].map((file) => basename(file));
    expect(names).toContain("startWorkload.ts");
    expect(names).not.toContain("secrets.ts");
  });
});

describe("maskVariable()", () => {
  it.each([
    ["STREAM_KEY", "abc", "***"],
    ["TIER", "gold", "gold"],
    ["TARGET", "rtmp://h/app/KEY", "rtmp://h/app/***"],
    ["OPTIONS", "-i x -passphrase KEY", "-i x -passphrase ***"],
    ["DB_PASSWORD", "", ""],
  ])("shows %s=%s as %s", (name, value, shown) => {
    expect(maskVariable(name, value)).toBe(shown);
  });
});

describe("shownCommand()", () => {
  it("says whether it masked something", () => {
    const job = { command: ["ffmpeg", "rtmp://h/app/KEY"], cwd: "/srv" };
    expect(shownCommand(job)).toEqual({
      command: ["ffmpeg", "rtmp://h/app/***"],
      cwd: "/srv",
      isMasked: true,
    });
    expect(shownCommand({ command: ["true"], cwd: null })).toEqual({
      command: ["true"],
      cwd: null,
      isMasked: false,
    });
    expect(trueCommand(job)).toEqual({ ...job, isMasked: false });
  });
});
