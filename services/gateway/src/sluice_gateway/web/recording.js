// One recording in the list: built once, then only changed where it differs.

import { playable } from "./api.js";
import { badge, el, setText } from "./dom.js";
import { count, exactBytes, size } from "./format.js";

const SHOWN_ENTRIES = 6;

// A source is set only when its row comes near the screen.
const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      target.src = playable(target.dataset.media);
    }
  },
  { rootMargin: "300px" },
);

export class RecordingRow {
  #badge = badge();
  #name = el("h4", { class: "name" });
  #facts = el("p", { class: "facts" });
  #reason = el("p", { class: "problem" });
  #metadata = el("div", { class: "metadata" });
  #shownMetadata = "";
  #player = null;
  #playerProblem = el("p", { class: "problem player-problem", hidden: true });

  constructor(recording) {
    this.id = recording.recording_id;
    this.node = el(
      "li",
      { class: "recording" },
      el("div", { class: "row" }, this.#name, this.#badge.node),
      this.#facts,
      this.#reason,
      this.#metadata,
    );
    this.update(recording);
    this.#addPlayer(recording);
  }

  update(recording, touched = new Set()) {
    const name = recording.filename || recording.recording_id;
    setText(this.#name, name);
    if (!touched.has(this.id)) this.setStatus(recording.status);
    this.#updateFacts(recording);
    const shown = JSON.stringify(recording.metadata ?? {});
    if (shown !== this.#shownMetadata) {
      this.#shownMetadata = shown;
      this.#metadata.replaceChildren(...metadataList(Object.entries(recording.metadata ?? {})));
    }
  }

  setStatus(status, reason) {
    this.status = status;
    this.#badge.show(status);
    if (reason !== undefined || status !== "failed") {
      setText(this.#reason, status === "failed" ? (reason ?? "") : "");
    }
  }

  get name() {
    return this.#name.textContent;
  }

  #updateFacts(recording) {
    const key = `${recording.size_bytes} ${recording.content_type} ${recording.client_item_id}`;
    if (this.#facts.dataset.key === key) return;
    this.#facts.dataset.key = key;
    this.#facts.replaceChildren(
      el("span", { title: exactBytes(recording.size_bytes) }, size(recording.size_bytes)),
      el("span", {}, recording.content_type),
      el("span", { class: "code", title: `Item ${recording.client_item_id}` }, recording.recording_id),
    );
  }

  #addPlayer(recording) {
    const kind = playerFor(recording.content_type);
    if (!kind || !recording.media_url) {
      this.node.append(el("p", { class: "hint" }, "Your browser has no player for this type."));
      return;
    }
    const player = el(kind, { controls: true, preload: "none", "aria-label": `Play ${this.name}` });
    player.dataset.media = recording.media_url;
    player.addEventListener("error", () => this.#recover());
    player.addEventListener("playing", () => {
      player.dataset.recovered = "";
      this.#playerProblem.hidden = true;
    });
    this.#player = player;
    this.node.append(player, this.#playerProblem);
    nearby.observe(player);
  }

  /** A signed address can expire while a player waits: ask once for a fresh one, then say so. */
  #recover() {
    const player = this.#player;
    if (!player.getAttribute("src")) return;
    if (!player.dataset.recovered && player.currentTime > 0) {
      player.dataset.recovered = "yes";
      this.#reload();
      return;
    }
    const again = el("button", { type: "button", class: "quiet" }, "Try again");
    again.addEventListener("click", () => this.#reload());
    this.#playerProblem.replaceChildren("This recording cannot be played right now. ", again);
    this.#playerProblem.hidden = false;
  }

  #reload() {
    const player = this.#player;
    const at = player.currentTime;
    this.#playerProblem.hidden = true;
    player.src = playable(player.dataset.media);
    player.addEventListener("loadedmetadata", () => (player.currentTime = at), { once: true });
    player.play().catch(() => {});
  }
}

function playerFor(contentType) {
  if (contentType.startsWith("video/")) return "video";
  const isAudio = contentType.startsWith("audio/");
  return isAudio || ["application/ogg", "application/octet-stream"].includes(contentType) ? "audio" : null;
}

function metadataList(entries) {
  if (!entries.length) return [];
  const list = (some) => {
    const node = el("dl");
    for (const [name, value] of some) {
      node.append(el("div", {}, el("dt", {}, name), el("dd", {}, metadataValue(value))));
    }
    return node;
  };
  const rest = entries.slice(SHOWN_ENTRIES);
  const shown = [list(entries.slice(0, SHOWN_ENTRIES))];
  if (rest.length) {
    const summary = el("summary", {}, `Show ${count(rest.length, "more field")}`);
    shown.push(el("details", {}, summary, list(rest)));
  }
  return shown;
}

function metadataValue(value) {
  const isNested = value !== null && typeof value === "object";
  if (isNested) return el("pre", {}, JSON.stringify(value, null, 2));
  return typeof value === "string" ? value || "—" : String(value);
}
