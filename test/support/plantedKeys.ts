/** Keys that no output may contain. Each has a number of its own, so that a failure names it. */
export class Keys {
  readonly all: string[] = [];

  next(): string {
    const key = `Zq${this.all.length + 10}Planted9x`;
    this.all.push(key);
    return key;
  }
}

export const PLANTED = /Zq\d+Planted9x/;

/** Returns arguments as platforms write them, each with a key. */
export function secretArguments(keys: Keys): string[] {
  const key = () => keys.next();
  return [
    ...["-i", `rtsp://admin:${key()}@cam.example.com:554/live`],
    ...["-headers", `Authorization: Bearer ${key()}\r\nX-Tenant: a\r\n`],
    ...["-cookies", `session=${key()}; path=/`],
    ...["-decryption_key", key(), "-passphrase", key(), "--api-key", key()],
    ...["-passwd", key(), "-password", key()],
    ...[`--password=${key()}`, `token=${key()}`, `STREAM_KEY=${key()}`],
    `https://bucket.example.com/in.mp4?X-Amz-Signature=${key()}&Expires=300`,
    `srt://ingest.example.com:9000?mode=caller&streamid=${key()}&passphrase=${key()}`,
    `[f=flv]rtmp://a.example.com/live/${key()}|[f=mpegts:passphrase=${key()}]srt://b.example.com:1`,
    `location=rtmp://c.example.com/app/${key()} live=1 token=${key()}`,
    `ffmpeg -headers 'Authorization: Basic ${key()}' -i x -f flv "rtmps://d.example.com/app/${key()}?auth=${key()}"`,
    `{"stream_key": "${key()}", "url": "rtmp:\\/\\/e.example.com\\/app\\/${key()}"}`,
    `https://f.example.com/?next=rtmp%3A%2F%2Fg.example.com%2Fapp%2F${key()}`,
    `RTMP://H.EXAMPLE.COM/APP/${key()}`,
    `rtmp://live.example.com/app/${key()}`,
  ];
}

/** Returns the first line with a planted key; `undefined`: there is none. */
export function leakIn(output: string): string | undefined {
  return output.split("\n").find((line) => PLANTED.test(line));
}
