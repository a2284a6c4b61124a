// The upload part of the page: choosing files, naming them, and watching them go.

import { announce, byId, el, setText } from "./dom.js";
import { count, exactBytes, parseMetadata, size } from "./format.js";
import { GROUP, Transfer, retry, send } from "./upload.js";

const STATES = {
  waiting: "Waiting",
  sending: "Uploading",
  pausing: "Waiting to try again",
  stored: "Uploaded, waiting for the others",
  registering: "Adding to the batch",
  done: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

export class UploadPanel {
  #files = [];
  #transfers = new Map();

  /** `onSent()` is called when files may have become part of a batch. */
  constructor({ onSent }) {
    this.onSent = onSent;
    byId("choose").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", ({ target }) => {
      this.#stage([...target.files]);
      target.value = "";
    });
    byId("discard").addEventListener("click", () => this.#unstage());
    byId("clear").addEventListener("click", () => this.#clear());
    byId("meta").addEventListener("input", () => this.#metadataProblem() === "" && this.#showProblem(""));
    byId("meta").addEventListener("change", () => this.#showProblem(this.#metadataProblem()));
    byId("staged").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    window.addEventListener("beforeunload", (event) => this.isBusy && event.preventDefault());
    this.#acceptDrops();
  }

  get isBusy() {
    return [...this.#transfers.keys()].some((transfer) => transfer.isActive);
  }

  /** Offers these batches, newest first, as places to add files to. */
  offer(batches) {
    const select = byId("target");
    const wanted = batches.map(({ id, status }) => [id, `${id} (${status})`]);
    const shown = [...select.options].slice(1).map(({ value, text }) => [value, text]);
    if (JSON.stringify(wanted) === JSON.stringify(shown)) return;
    const chosen = select.value;
    select.replaceChildren(select.options[0], ...wanted.map(([value, text]) => el("option", { value }, text)));
    select.value = wanted.some(([id]) => id === chosen) ? chosen : "";
  }

  /** Ends what is on its way, and forgets it: who signs in next may be somebody else. */
  leave() {
    for (const [transfer, { node }] of this.#transfers) {
      transfer.cancel();
      node.remove();
    }
    this.#transfers.clear();
    this.#files = [];
    this.#showStaged();
    this.#showTotals();
  }

  #acceptDrops() {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !byId("content").hidden;
    const mark = (isOver) => byId("drop").classList.toggle("over", isOver);
    document.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "copy";
      mark(true);
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
    document.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      mark(false);
      this.#stage(droppedFiles(event.dataTransfer));
    });
  }

  #stage(files) {
    if (!files.length) return;
    this.#files.push(...files);
    this.#showStaged();
    byId("staged-title").focus();
  }

  #unstage() {
    this.#files = [];
    this.#showStaged();
    byId("choose").focus();
  }

  #showStaged() {
    byId("staged").hidden = this.#files.length === 0;
    byId("staged-files").replaceChildren(...this.#files.map((file) => this.#stagedItem(file)));
    const batches = Math.ceil(this.#files.length / GROUP);
    setText(byId("staged-title"), `Ready to upload ${count(this.#files.length, "file")}`);
    const plural = batches > 1 ? ` in ${batches} batches` : "";
    setText(byId("send"), `Upload ${count(this.#files.length, "file")}${plural}`);
  }

  #stagedItem(file) {
    const remove = el("button", { type: "button", class: "quiet", "aria-label": `Remove ${file.name}` }, "Remove");
    remove.addEventListener("click", () => {
      this.#files = this.#files.filter((other) => other !== file);
      this.#showStaged();
      (this.#files.length ? byId("staged-title") : byId("choose")).focus();
    });
    const bytes = el("span", { class: "hint", title: exactBytes(file.size) }, size(file.size));
    const empty = file.size === 0 ? [el("span", { class: "problem" }, "This file is empty.")] : [];
    return el("li", {}, el("span", { class: "name" }, file.name), bytes, ...empty, remove);
  }

  #metadataProblem() {
    try {
      parseMetadata(byId("meta").value);
      return "";
    } catch (error) {
      return error.message;
    }
  }

  #showProblem(problem) {
    setText(byId("meta-problem"), problem);
    byId("meta").setAttribute("aria-invalid", String(problem !== ""));
  }

  async #send() {
    const problem = this.#metadataProblem();
    this.#showProblem(problem);
    if (problem) return byId("meta").focus();
    const metadata = parseMetadata(byId("meta").value);
    const transfers = this.#files.map((file) => new Transfer(file, metadata, (transfer) => this.#update(transfer)));
    const batchId = byId("target").value;
    transfers.forEach((transfer) => this.#addRow(transfer));
    this.#unstage();
    byId("meta").value = "";
    byId("transfers-title").focus();
    await send(transfers, batchId);
    this.#settled(transfers);
  }

  async #retry(transfer) {
    await retry(transfer);
    this.#settled([transfer]);
  }

  #settled(transfers) {
    const number = (state) => transfers.filter((transfer) => transfer.state === state).length;
    if (number("done")) announce(`${count(number("done"), "file")} uploaded`);
    if (number("failed")) announce(`${count(number("failed"), "file")} failed`);
    this.onSent();
  }

  #addRow(transfer) {
    const { file } = transfer;
    const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${file.name}` });
    const state = el("span", { class: "state" });
    const problem = el("p", { class: "problem" });
    const cancel = el("button", { type: "button", class: "quiet", "aria-label": `Cancel ${file.name}` }, "Cancel");
    const again = el("button", { type: "button", "aria-label": `Retry ${file.name}` }, "Retry");
    cancel.addEventListener("click", () => {
      transfer.cancel();
      again.focus();
    });
    again.addEventListener("click", () => {
      byId("transfers-title").focus({ preventScroll: true });
      this.#retry(transfer);
    });
    const name = el("span", { class: "name" }, file.name);
    const node = el("li", {}, el("div", { class: "row" }, name, state, cancel, again), bar, problem);
    this.#transfers.set(transfer, { node, bar, state, problem, cancel, again });
    byId("transfer-list").append(node);
    this.#update(transfer);
  }

  #update(transfer) {
    const row = this.#transfers.get(transfer);
    if (!row) return;
    const part = transfer.file.size ? Math.min(1, transfer.sentBytes / transfer.file.size) : 0;
    const isSent = transfer.isStored || transfer.state === "done";
    row.bar.value = isSent ? 1 : part;
    row.bar.hidden = !transfer.isActive;
    row.node.dataset.state = transfer.state;
    const percent = transfer.state === "sending" ? ` ${Math.floor(part * 100)} %` : "";
    setText(row.state, STATES[transfer.state] + percent);
    setText(row.problem, transfer.message);
    row.cancel.hidden = !transfer.canCancel;
    row.again.hidden = !["failed", "cancelled"].includes(transfer.state);
    this.#showTotals();
  }

  #showTotals() {
    const all = [...this.#transfers.keys()];
    const done = all.filter((transfer) => transfer.state === "done").length;
    byId("transfers").hidden = all.length === 0;
    byId("clear").hidden = all.every((transfer) => transfer.isActive);
    setText(byId("transfers-title"), `Uploads: ${done} of ${all.length} done`);
  }

  #clear() {
    for (const [transfer, { node }] of this.#transfers) {
      if (transfer.isActive) continue;
      node.remove();
      this.#transfers.delete(transfer);
    }
    this.#showTotals();
    (this.#transfers.size ? byId("transfers-title") : byId("choose")).focus();
  }
}

/** Dropped files without dropped folders, which cannot be read as files. */
function droppedFiles({ items, files }) {
  const isFolder = [...items].filter(({ kind }) => kind === "file").map((item) => item.webkitGetAsEntry?.()?.isDirectory);
  return [...files].filter((_, index) => !isFolder[index]);
}
