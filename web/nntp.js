/*
 * nntp -- a client of RFC 3977 over a WebSocket whose subprotocol is "nntp".
 *
 * The messages are octets of one stream; where one ends means nothing.
 * Commands are sent one behind the other and answered in order.  Lines are
 * kept as octets, for articles may be in any charset; texts that are ours
 * (commands, responses) are decoded as UTF-8 (RFC 3977, 3.1).
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");
const LF = 10, CR = 13, DOT = 46;

/* Response codes that a multi-line block follows (RFC 3977, 3.2); 211 is one
   only after LISTGROUP, which we never send. */
const WITH_BLOCK = new Set([100, 101, 215, 220, 221, 222, 224, 225, 230, 231]);

export class NntpError extends Error {
  constructor(response) {
    super(response.text);
    this.code = response.code;
  }
}

/* Lines of a block are Uint8Array without CRLF, dots unstuffed. */
export class Nntp {
  #socket;
  #waiting = [];   /* {resolve, reject}, one for each response to come */
  #pending = [];   /* pieces of a line whose end has not come */
  #response = null;  /* whose block is coming in */
  #closed = null;  /* the error, once there is no connection */

  /* Resolves with the greeting: {code, text}. */
  open(url) {
    this.#socket = new WebSocket(url, "nntp");
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = (event) => this.#take(new Uint8Array(event.data));
    this.#socket.onclose = () => this.#end(new Error("The connection ended."));
    return this.#next();
  }

  onclose = () => {};

  close() {
    this.#socket.close();
  }

  /* Send a command; resolves with {code, text, lines}. */
  async command(line) {
    if (this.#closed) throw this.#closed;
    this.#socket.send(encoder.encode(line + "\r\n"));
    return this.#next();
  }

  /* The same, where another code than these is an error. */
  async expect(line, ...codes) {
    const response = await this.command(line);
    if (!codes.includes(response.code)) throw new NntpError(response);
    return response;
  }

  /* Post an article: octets with CRLF line ends (RFC 3977, 6.3.1). */
  async post(article) {
    await this.expect("POST", 340);
    const wire = stuffed(article);
    const piece = 32 * 1024; /* the bridge takes messages up to 64 KiB */
    const done = this.#next();
    for (let at = 0; at < wire.length; at += piece)
      this.#socket.send(wire.subarray(at, at + piece));
    const response = await done;
    if (response.code !== 240) throw new NntpError(response);
    return response;
  }

  #next() {
    return new Promise((resolve, reject) => {
      this.#waiting.push({resolve, reject});
    });
  }

  #take(octets) {
    let from = 0;
    for (let at = octets.indexOf(LF); at >= 0; at = octets.indexOf(LF, from)) {
      this.#pending.push(octets.subarray(from, at));
      this.#line(joined(this.#pending));
      this.#pending = [];
      from = at + 1;
    }
    if (from < octets.length) this.#pending.push(octets.subarray(from));
  }

  #line(octets) {
    let line = octets;
    if (line.length > 0 && line[line.length - 1] === CR)
      line = line.subarray(0, line.length - 1);
    if (this.#response === null) {
      const text = decoder.decode(line);
      const response = {code: parseInt(text, 10), text: text.slice(4), lines: []};
      if (WITH_BLOCK.has(response.code)) this.#response = response;
      else this.#answer(response);
    } else if (line.length === 1 && line[0] === DOT) {
      const response = this.#response;
      this.#response = null;
      this.#answer(response);
    } else {
      this.#response.lines.push(line[0] === DOT ? line.subarray(1) : line);
    }
  }

  #answer(response) {
    this.#waiting.shift()?.resolve(response);
  }

  #end(error) {
    this.#closed = error;
    for (const one of this.#waiting.splice(0)) one.reject(error);
    this.onclose(error);
  }
}

function joined(pieces) {
  if (pieces.length === 1) return pieces[0];
  const all = new Uint8Array(pieces.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/* Lines of a block as one run of octets again. */
export function joinLines(lines) {
  const end = Uint8Array.of(CR, LF);
  return joined(lines.length === 0 ? [end] : lines.flatMap((line) => [line, end]));
}

/* Dot-stuffed, with its end (RFC 3977, 3.1.1). */
function stuffed(article) {
  const out = [];
  let fresh = true;
  for (const octet of article) {
    if (fresh && octet === DOT) out.push(DOT);
    out.push(octet);
    fresh = octet === LF;
  }
  if (!fresh) out.push(CR, LF);
  out.push(DOT, CR, LF);
  return Uint8Array.from(out);
}
