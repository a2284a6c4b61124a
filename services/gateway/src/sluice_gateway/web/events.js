// Status changes as they happen: server-sent events read with fetch, which can send the key.

import { backoff, request, sleep } from "./api.js";

const PATH = "/api/v1/events";
const SILENCE_SECONDS = 45; // Three missed heartbeats.
const HIDDEN_SECONDS = 60; // Then the connection is given back; browsers allow few per host.

/** Parses text/event-stream as it arrives. Source: HTML Standard, "Interpreting an event stream". */
export class EventParser {
  #rest = "";
  #data = [];
  #type = "";
  #sawCarriageReturn = false;
  lastId = null;
  retrySeconds = null;

  /** The events completed by this piece of text. */
  feed(text) {
    let piece = text;
    if (this.#sawCarriageReturn && piece.startsWith("\n")) piece = piece.slice(1);
    if (text) this.#sawCarriageReturn = text.endsWith("\r");
    const lines = (this.#rest + piece).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#take(line)).filter(Boolean);
  }

  #take(line) {
    if (line === "") return this.#finish();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value;
    else if (name === "id" && !value.includes("\0")) this.lastId = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retrySeconds = Number(value) / 1000;
    return null;
  }

  #finish() {
    const event = { id: this.lastId, type: this.#type || "message", data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    this.#data = [];
    this.#type = "";
    return isEmpty ? null : event;
  }
}

/** Follows the event log from where it is, across lost connections and sleeping tabs. */
export class LiveEvents {
  #lastId = null;
  #running = null;
  #hiddenTimer = 0;

  /** `onChange(statusChanged)`, `onState("live" | "reconnecting" | "off")`, `onGap()`. */
  constructor({ onChange, onState, onGap }) {
    Object.assign(this, { onChange, onState, onGap });
    document.addEventListener("visibilitychange", () => this.#onVisibility());
  }

  /** Notes the end of the log. Called before the list is read, so that nothing falls between. */
  async mark() {
    try {
      const answer = await request(`${PATH}?limit=1`, { headers: { Accept: "application/json" } });
      const { last_sequence: last } = await answer.json();
      this.#lastId = Number.isInteger(last) ? String(last) : null;
    } catch (problem) {
      if (problem.status === 401) throw problem;
      this.#lastId = null;
    }
  }

  start() {
    this.stop();
    this.#running = new AbortController();
    this.#follow(this.#running.signal);
  }

  stop() {
    clearTimeout(this.#hiddenTimer);
    this.#hiddenTimer = 0;
    this.#running?.abort();
    this.#running = null;
    this.onState("off");
  }

  #onVisibility() {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden && this.#running) {
      this.#hiddenTimer = setTimeout(() => {
        this.#running?.abort();
        this.#running = null;
        this.#hiddenTimer = -1;
      }, HIDDEN_SECONDS * 1000);
    } else if (!document.hidden && this.#hiddenTimer === -1) {
      this.#hiddenTimer = 0;
      this.start();
    }
  }

  async #follow(signal) {
    for (let failed = 0; !signal.aborted; ) {
      this.onState("reconnecting");
      let wait = 1;
      try {
        wait = (await this.#listen(signal, () => (failed = 0))) ?? wait;
        failed += 1;
      } catch (problem) {
        if (signal.aborted || problem.status === 401 || problem.status === 403) break;
        failed += 1;
        const isForgotten = [400, 404, 410, 422].includes(problem.status) && this.#lastId !== null;
        if (isForgotten) this.#lastId = null;
        wait = backoff(failed, problem);
      }
      if (signal.aborted) return;
      this.onState("reconnecting");
      await sleep(wait, signal).catch(() => {});
    }
    if (!signal.aborted) this.onState("off");
  }

  async #listen(signal, onOpen) {
    const connection = new AbortController();
    const close = () => connection.abort();
    signal.addEventListener("abort", close, { once: true });
    let watch = setTimeout(close, SILENCE_SECONDS * 1000);
    const parser = new EventParser();
    try {
      const headers = { Accept: "text/event-stream" };
      const resumes = this.#lastId !== null;
      if (resumes) headers["Last-Event-ID"] = this.#lastId;
      const answer = await request(PATH, { headers, signal: connection.signal });
      onOpen();
      this.onState("live");
      if (!resumes) this.onGap();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return parser.retrySeconds;
        clearTimeout(watch);
        watch = setTimeout(close, SILENCE_SECONDS * 1000);
        parser.feed(value).forEach((event) => this.#accept(event));
      }
    } finally {
      clearTimeout(watch);
      signal.removeEventListener("abort", close);
    }
  }

  #accept(event) {
    if (event.id) this.#lastId = event.id;
    let change;
    try {
      change = JSON.parse(event.data).data;
    } catch {
      return;
    }
    if (change && typeof change.id === "string" && typeof change.status === "string") this.onChange(change);
  }
}
