// The list of batches: pages are merged into it by id, so that nothing the reader uses is rebuilt.

import { currentKey, nextPage, request } from "./api.js";
import { announce, badge, byId, el, setText } from "./dom.js";
import { count, longMoment, moment } from "./format.js";
import { RecordingRow } from "./recording.js";

const FIRST_PAGE = "/jsonui";
const PAGE_SIZE = 20;
const MOST = 200;
const GATHER_MILLISECONDS = 300;
const RETRY_MILLISECONDS = 5000;

class BatchCard {
  rows = new Map();
  #badge = badge();
  #count = el("span");
  #list = el("ul", { class: "recordings" });
  #none = el("p", { class: "hint none" }, "No recordings yet.");

  constructor(batch, page, onDelete) {
    this.id = batch.batch_id;
    this.page = page;
    this.title = el("h3", { class: "code", tabIndex: -1 }, this.id);
    const remove = el("button", { type: "button", class: "quiet", "aria-label": `Delete batch ${this.id}` }, "Delete");
    remove.addEventListener("click", () => onDelete(this));
    const time = el("time", { dateTime: batch.created_at, title: longMoment(batch.created_at) }, moment(batch.created_at));
    const head = el("div", { class: "head" }, this.title, this.#badge.node, el("p", { class: "facts" }, time, this.#count), remove);
    this.node = el("article", { class: "card batch", "aria-label": `Batch ${this.id}` }, head, this.#none, this.#list);
    this.update(batch, page);
  }

  /** Shows what a page says, except the status of things in `touched`: that is newer here. */
  update(batch, page, touched = new Set()) {
    this.page = page;
    if (!touched.has(this.id)) this.setStatus(batch.status);
    const present = new Set(batch.recordings.map((recording) => recording.recording_id));
    for (const [id, row] of this.rows) {
      if (present.has(id)) continue;
      row.node.remove();
      this.rows.delete(id);
    }
    let previous = null;
    for (const recording of batch.recordings) {
      const known = this.rows.get(recording.recording_id);
      const row = known ?? new RecordingRow(recording);
      if (known) row.update(recording, touched);
      else if (previous) previous.after(row.node);
      else this.#list.prepend(row.node);
      this.rows.set(row.id, row);
      previous = row.node;
    }
    setText(this.#count, count(this.rows.size, "recording"));
    this.#none.hidden = this.rows.size > 0;
  }

  setStatus(status) {
    this.status = status;
    this.#badge.show(status);
  }
}

export class BatchList {
  #cards = new Map();
  #next = null;
  #seen = new Map(); // The newest change applied to each thing.
  #touched = new Set(); // What changed since the page on its way was asked for.
  #wanted = new Set(); // Unknown batches that a page on its way may bring.
  #elsewhere = new Set(); // Batches of pages that are not loaded.
  #asked = new Set();
  #timer = 0;
  #working = Promise.resolve();
  #generation = 0;

  constructor({ onDelete, onListed }) {
    Object.assign(this, { onDelete, onListed });
    this.node = byId("batches");
    byId("older").addEventListener("click", () => this.#showOlder());
    byId("refresh").addEventListener("click", () => this.refresh());
  }

  /** Reads the first page. Throws ApiProblem, so that a wrong key is noticed. */
  async load() {
    await this.#read(FIRST_PAGE);
  }

  clear() {
    this.#generation += 1;
    this.#cards.forEach((card) => card.node.remove());
    [this.#cards, this.#seen, this.#wanted, this.#elsewhere, this.#asked].forEach((part) => part.clear());
    this.#next = null;
    byId("loading").hidden = false;
    this.#showEdges();
  }

  get batches() {
    return [...this.#cards.values()].sort((a, b) => (a.node.compareDocumentPosition(b.node) & 4 ? -1 : 1));
  }

  find(id) {
    return this.#cards.get(id);
  }

  /** Reads a page again soon; many wishes become one request. */
  refresh(page = FIRST_PAGE) {
    this.#asked.add(page);
    if (this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      const pages = currentKey() ? [...this.#asked] : [];
      this.#asked.clear();
      pages.forEach((each) => this.#readQuietly(each));
    }, GATHER_MILLISECONDS);
  }

  /** Reads a page again when the server may have recovered. */
  refreshSoon(page = FIRST_PAGE) {
    const generation = this.#generation;
    setTimeout(() => generation === this.#generation && this.refresh(page), RETRY_MILLISECONDS);
  }

  /** Takes one status change from the event log. */
  apply({ kind, id, batch_id: batchId, sequence, status, reason }) {
    if (kind === "upload" || (this.#seen.get(id) ?? 0) >= sequence) return;
    this.#seen.set(id, sequence);
    this.#touched.add(id);
    const card = this.#cards.get(kind === "batch" ? id : batchId);
    const thing = kind === "batch" ? card : card?.rows.get(id);
    if (!thing) {
      const place = kind === "batch" ? id : batchId;
      if (place && !this.#elsewhere.has(place)) this.refresh(card?.page);
      if (place && !card) this.#wanted.add(place);
      return;
    }
    if (thing.status === status) return;
    thing.setStatus(status, reason);
    if (status === "completed" || status === "failed") {
      announce(kind === "batch" ? `Batch ${id} is ${status}` : `${thing.name} is ${status}`);
    }
    if (kind === "batch") this.onListed();
  }

  remove(id) {
    const card = this.#cards.get(id);
    if (!card) return;
    const hadFocus = card.node.contains(document.activeElement);
    const neighbour = card.node.nextElementSibling ?? card.node.previousElementSibling;
    card.node.remove();
    this.#cards.delete(id);
    this.#showEdges();
    if (hadFocus) (neighbour?.querySelector("h3") ?? byId("list-title")).focus({ preventScroll: true });
    this.onListed();
  }

  async #showOlder() {
    const button = byId("older");
    const last = this.node.lastElementChild;
    button.disabled = true;
    await this.#readQuietly(this.#next);
    button.disabled = false;
    last?.nextElementSibling?.querySelector("h3").focus();
  }

  async #readQuietly(page) {
    try {
      await this.#read(page);
      setText(byId("list-problem"), "");
    } catch (problem) {
      if (problem.status === 401) return;
      const again = problem.retryable ? " Trying again soon." : "";
      setText(byId("list-problem"), `The list could not be read. ${problem.message}${again}`);
      if (problem.retryable) this.refreshSoon(page);
    }
  }

  /** One page after the other: answers that overtake each other would bring back the past. */
  #read(page) {
    const generation = this.#generation;
    const read = this.#working.then(async () => {
      if (generation !== this.#generation) return;
      this.#touched.clear();
      const answer = await request(page === FIRST_PAGE ? this.#firstPage() : page);
      const batches = await answer.json();
      if (generation === this.#generation) this.#merge(batches, page, nextPage(answer));
    });
    this.#working = read.catch(() => {});
    return read;
  }

  /** As long as what it showed so far, so that its last batches do not fall out of it. */
  #firstPage() {
    const shown = this.batches.filter((card) => card.page === FIRST_PAGE).length;
    return `${FIRST_PAGE}?limit=${Math.min(MOST, Math.max(PAGE_SIZE, shown + this.#wanted.size))}`;
  }

  #merge(batches, page, next) {
    const isFirst = page === FIRST_PAGE;
    const anchor = keepPlace(this.node);
    const overlaps = batches.some((batch) => this.#cards.has(batch.batch_id));
    const isGap = isFirst && this.#cards.size > 0 && !overlaps;
    if (isGap) {
      this.#cards.forEach((card) => card.node.remove());
      this.#cards.clear();
    }
    let previous = isFirst ? null : this.node.lastElementChild;
    for (const batch of batches) previous = this.#place(batch, page, previous);
    this.#dropVanished(batches, isFirst, next === null ? null : previous);
    const isEnd = batches.length ? previous === this.node.lastElementChild : isFirst || page === this.#next;
    if (isEnd) this.#next = next;
    for (const place of this.#wanted) if (!this.#cards.has(place)) this.#elsewhere.add(place);
    this.#wanted.clear();
    anchor();
    byId("loading").hidden = true;
    this.#showEdges();
    this.onListed();
  }

  #place(batch, page, previous) {
    const known = this.#cards.get(batch.batch_id);
    if (known) {
      known.update(batch, page, this.#touched);
      return known.node;
    }
    const card = new BatchCard(batch, page, this.onDelete);
    if (previous) previous.after(card.node);
    else this.node.prepend(card.node);
    this.#cards.set(card.id, card);
    this.#elsewhere.delete(card.id);
    return card.node;
  }

  /** Removes what lies between the ends of a page but is no longer part of it. */
  #dropVanished(batches, isFirst, end) {
    const present = new Set(batches.map((batch) => batch.batch_id));
    let isInside = isFirst;
    for (const card of this.batches) {
      isInside ||= present.has(card.id);
      if (isInside && !present.has(card.id)) this.remove(card.id);
      if (card.node === end) return;
    }
  }

  #showEdges() {
    const isLoaded = byId("loading").hidden;
    byId("older").hidden = this.#next === null;
    byId("empty").hidden = !isLoaded || this.#cards.size > 0;
  }
}

/** Keeps what the reader looks at where it is, in browsers that do not do so by themselves. */
function keepPlace(list) {
  if (CSS.supports("overflow-anchor", "auto") || window.scrollY === 0) return () => {};
  const seen = [...list.children].find((node) => node.getBoundingClientRect().bottom > 0);
  const before = seen?.getBoundingClientRect().top;
  return () => {
    if (seen?.isConnected) window.scrollBy(0, seen.getBoundingClientRect().top - before);
  };
}
