/** An event of a stream. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html */
export interface StreamEvent {
  event: string;
  data: string;
  id: string | undefined;
}

/** Reads the events of a response, one after the other. Comments and reconnection times are passed over. */
export class EventReader {
  readonly #reader;
  readonly #decoder = new TextDecoder();
  readonly #events: StreamEvent[] = [];
  #text = "";

  constructor(response: Response) {
    if (response.body === null) throw new Error("the response has no body");
    this.#reader = response.body.getReader();
  }

  /** Waits for the next event. Throws when the stream ends. */
  async next(): Promise<StreamEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) return event;
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("the stream has ended");
      const blocks = (this.#text + this.#decoder.decode(value, { stream: true })).split("\n\n");
      this.#text = blocks.pop() ?? "";
      this.#events.push(...blocks.flatMap((block) => parseBlock(block)));
    }
  }

  /** Returns the next event with this name. */
  async nextNamed(name: string): Promise<StreamEvent> {
    for (;;) {
      const event = await this.next();
      if (event.event === name) return event;
    }
  }

  async leave(): Promise<void> {
    await this.#reader.cancel();
  }
}

function parseBlock(block: string): StreamEvent[] {
  const fields = new Map(block.split("\n").map(splitField));
  const data = fields.get("data");
  return data === undefined ? [] : [{ event: fields.get("event") ?? "message", data, id: fields.get("id") }];
}

function splitField(line: string): [name: string, value: string] {
  const colon = line.indexOf(":");
  return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
}
