/** The table of secrets: the names of options, parameters, variables and headers whose values are masked. */

/** Endings of a name without its separators: `X-Auth-Token`, `rtmp_playpath`, `PGPASSWORD`, `wsSecret`. */
const ENDINGS = [
  ...["password", "passwd", "passphrase", "passcode", "secret", "token", "tokenhash"],
  ...["apikey", "accesskey", "accesskeyid", "secretkey", "streamkey", "authkey", "privatekey", "sessionkey"],
  ...[
    "encryptionkey",
    "decryptionkey",
    "decryptionkeys",
    "encryptionkeys",
    "cryptokey",
    "keypem",
    "keypairid",
  ],
  ...["signature", "credential", "credentials", "authorization", "cookie", "cookies", "headers", "hmac"],
  ...["userpass", "dbpass", "rtmppass", "ftppass", "httppass", "proxypass", "sshpass", "smtppass"],
  // RTMP, SRT and SRTP as FFmpeg, librtmp and GStreamer name them.
  ...["streamid", "playpath", "rtmpconn", "rtmpsubscribe", "swfhash", "srtpinparams", "srtpoutparams"],
  ...["activationbytes", "postdata"],
];

/** Last words of a name, which are part of harmless words too: `hls_enc_key`, and not `chromakey` or `keyint`. */
const LAST_WORDS = ["key", "pw", "pwd", "psk", "auth", "bearer", "sig", "sign", "jwt", "sas", "conn", "jtv"];

/** Names in which a last word is harmless: an amount, the key of a database, of a message broker or for the public. */
const HARMLESS = ["public", "pub", "max", "min", "num", "primary", "partition", "routing", "sort", "foreign"];

/** Names that are secret only as parameters of a URL. */
const PARAMETERS = [
  ...["pass", "policy", "hash", "md5", "st", "sid", "cid", "session", "sessionid", "ticket", "nonce", "otp"],
  ...["code", "hdnts", "hdntl", "hdnea", "secure", "keyname", "stream", "streamname"],
];

/** Names whose value is a line of text, with spaces in it. */
const LINES = ["authorization", "cookie", "cookies", "headers", "bearer"];

/**
 * Options of single programs: one after which the rest of the word is secret, or else the whole next word. Letters of
 * options without a value can precede it: `curl -sSu user:password`.
 */
export const PROGRAM_OPTIONS: Readonly<Record<string, RegExp>> = {
  curl: /^(?:-[^-ACDEFHKPQTUXYbcdehmortuwxyz]*[EHUbu]|--(?:proxy-)?(?:user|header)(?:=|$)|--cert(?:=|$))/,
  wget: /^--(?:header|post-data)(?:=|$)/,
  sshpass: /^-p/,
  rtmpdump: /^-[CTdjuwy]/,
  "yt-dlp": /^-p/,
  mysql: /^-p(?=.)/,
  mysqldump: /^-p(?=.)/,
  openssl: /^-(?:[Kk]|pass|passin|passout)$/,
  rtmp2sink: /^stream=/,
  rtmp2src: /^stream=/,
};

/** Longer names are compared by their end. */
const MAX_NAME_LENGTH = 64;

/** A part of every entry of the table, to find out fast that a name has none. */
const PART =
  /key|pass|pw|psk|token|secret|sig|cred|auth|cookie|head|hmac|stream|play|conn|subscr|swf|srtp|byte|post|bear|jwt|sas|jtv|%/i;

export function isSecretName(name: string): boolean {
  const end = name.slice(-MAX_NAME_LENGTH);
  if (!PART.test(end)) return false;
  // A variable. In lower case it is the number of a pass: -pass 1, pass=2.
  if (/(?:^|_)PASS$/.test(end)) return true;
  const words = wordsOf(end);
  const last = words.at(-1) ?? "";
  if (words.length > 1 && words.some((word) => HARMLESS.includes(word))) return false;
  const joined = words.join("");
  return LAST_WORDS.includes(last) || ENDINGS.some((ending) => joined.endsWith(ending));
}

export function isSecretParameter(name: string): boolean {
  return isSecretName(name) || PARAMETERS.includes(wordsOf(name.slice(-MAX_NAME_LENGTH)).join(""));
}

/** Returns true for a name whose value extends to the end of its line. */
export function hasLineValue(name: string): boolean {
  const joined = wordsOf(name.slice(-MAX_NAME_LENGTH)).join("");
  return LINES.some((ending) => joined.endsWith(ending));
}

/** `-hls_enc_key`: hls, enc, key. `wsSecret`: ws, secret. `AWS_KEY_2`: aws, key. */
function wordsOf(name: string): string[] {
  return name
    .replace(/%([2-7][0-9A-Fa-f])/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => /[a-z]/.test(word))
    .map((word) => (word === "md5" ? word : word.replace(/[0-9]+$/, "")));
}
