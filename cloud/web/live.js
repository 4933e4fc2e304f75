// The WebSocket: it comes back by itself and goes on after the last message it has seen.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;

export class Live {
  #cursor = null;
  #socket = null;
  #timer = null;
  #wait = FIRST_WAIT_MS;
  #handlers;

  /** handlers: message(data), state("connecting" | "connected" | "waiting"), lost() before each new attempt: false ends it. */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  open() {
    this.#handlers.state("connecting");
    const address = new URL("/api/alerts", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.#cursor !== null) address.searchParams.set("cursor", this.#cursor);
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = () => {
      if (this.#socket === socket) this.#retry();
    };
  }

  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #receive(message) {
    if (message.type === "hello") {
      this.#wait = FIRST_WAIT_MS;
      this.#handlers.state("connected");
    }
    this.#cursor = message.cursor;
    this.#handlers.message(message);
  }

  #retry() {
    this.#handlers.state("waiting");
    // Up to half of the wait at random, so that pages do not all come back in the same moment.
    const wait = this.#wait * (0.5 + Math.random() / 2);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
    this.#timer = setTimeout(async () => {
      const mayGoOn = await this.#handlers.lost();
      if (mayGoOn && this.#socket !== null) this.open();
    }, wait);
  }
}
