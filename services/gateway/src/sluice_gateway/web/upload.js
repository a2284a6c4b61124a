// Sending files: presign, PUT, register. One Transfer is one file on its way.

import { ApiProblem, currentKey, onThisOrigin, persist, problemFrom, request, token } from "./api.js";
import { contentType } from "./format.js";

export const GROUP = 10;
const PARALLEL = 3;
const SPARE_SECONDS = 20;

/** At most `limit` at once, across everything that is being sent. */
class Slots {
  #free;
  #waiting = [];

  constructor(limit) {
    this.#free = limit;
  }

  async run(work) {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

const slots = new Slots(PARALLEL);

/** States: waiting, sending, pausing, stored, registering, done, failed, cancelled. */
export class Transfer {
  state = "waiting";
  sentBytes = 0;
  message = "";
  batchId = null;
  problem = null;
  isStored = false;
  registration = null; // What was sent to register it, with all that was registered together.
  #target = null;
  #expiresAt = 0;

  constructor(file, metadata, onChange) {
    Object.assign(this, { file, metadata, onChange });
    this.type = contentType(file);
    this.itemId = `web-${token().slice(0, 12)}`;
    this.abort = new AbortController();
    this.key = currentKey();
  }

  show(state, message = "") {
    Object.assign(this, { state, message });
    this.onChange(this);
  }

  get isActive() {
    return !["done", "failed", "cancelled"].includes(this.state);
  }

  /** Everything but registering can still be taken back. */
  get canCancel() {
    return ["waiting", "sending", "pausing", "stored"].includes(this.state);
  }

  get needsTarget() {
    return !this.isStored && (!this.#target || Date.now() > this.#expiresAt);
  }

  get blobRef() {
    return this.#target.blob_ref;
  }

  aim(target, batchId, lifetimeSeconds) {
    this.#target = target;
    this.batchId = batchId;
    this.#expiresAt = Date.now() + (lifetimeSeconds - SPARE_SECONDS) * 1000;
  }

  cancel() {
    this.abort.abort();
    if (this.isActive) this.show("cancelled");
  }

  /** Forgets what stands in the way of another try; a refused target is not used twice. */
  renew() {
    const { status, retryable } = this.problem ?? { retryable: true };
    const isBatchGone = status === 404 || status === 409;
    if (isBatchGone) {
      this.batchId = null;
      this.isStored = false;
    }
    if (isBatchGone || !(retryable || this.isStored)) this.#target = null;
    this.problem = null;
    this.abort = new AbortController();
    this.key = currentKey();
    this.show("waiting");
  }

  fail(problem) {
    if (!this.isActive) return;
    this.problem = problem;
    this.show("failed", problem.message);
  }

  pause = (problem, failed, tries) => {
    if (!this.isActive) return;
    this.sentBytes = 0;
    this.show("pausing", `${problem.message} Trying again (${failed} of ${tries - 1}).`);
  };

  async put() {
    if (this.isStored) return this.show("stored");
    await persist(() => this.#putOnce(), { signal: this.abort.signal, onWait: this.pause });
    this.isStored = true;
    if (this.isActive) this.show("stored");
  }

  #putOnce() {
    this.sentBytes = 0;
    this.show("sending");
    return new Promise((resolve, reject) => {
      const call = new XMLHttpRequest();
      const { signal } = this.abort;
      const stop = () => call.abort();
      const settle = (finish, value) => {
        signal.removeEventListener("abort", stop);
        finish(value);
      };
      call.open("PUT", onThisOrigin(this.#target.upload_url));
      for (const [name, value] of Object.entries(this.#target.required_headers)) call.setRequestHeader(name, value);
      call.upload.onprogress = (event) => {
        this.sentBytes = event.loaded;
        this.onChange(this);
      };
      call.onabort = () => settle(reject, new DOMException("Cancelled", "AbortError"));
      call.onerror = () => settle(reject, new ApiProblem(0));
      call.onload = () => {
        const problem = problemFrom(call.status, call.responseText, call.getResponseHeader("Retry-After"));
        const isOk = call.status >= 200 && call.status < 300;
        // Nobody else has this token: the answer to an earlier try was lost on the way. The browser
        // repeats a PUT by itself when a kept connection breaks, so no earlier try may be known here.
        const hadArrived = problem.code === "upload-token-used";
        if (isOk || hadArrived) return settle(resolve);
        settle(reject, problem);
      };
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) settle(reject, new DOMException("Cancelled", "AbortError"));
      else call.send(this.file);
    });
  }
}

/** A file goes where it was meant to go: under another key that may be somebody else's place. */
function requestFor(transfers, path, options) {
  if (transfers.every((transfer) => transfer.key === currentKey())) return request(path, options);
  throw new ApiProblem(401, { code: "key-changed", detail: "The key was changed before this was sent." });
}

/** Sends transfers in groups of ten; each group is a batch, or joins the batch it was given. */
export async function send(transfers, batchId) {
  const wanted = transfers.filter((transfer) => transfer.isActive);
  for (let at = 0; at < wanted.length; at += GROUP) {
    await sendGroup(wanted.slice(at, at + GROUP), batchId);
  }
}

async function sendGroup(group, batchId) {
  const fresh = group.filter((transfer) => transfer.isActive && transfer.needsTarget);
  try {
    if (fresh.length) await presign(fresh, batchId);
  } catch (problem) {
    fresh.forEach((transfer) => transfer.fail(problem));
  }
  await Promise.all(group.filter((transfer) => transfer.isActive).map((transfer) => slots.run(() => putOne(transfer))));
  const stored = group.filter((transfer) => transfer.state === "stored");
  if (stored.length) await register(stored);
}

async function presign(transfers, batchId) {
  const items = transfers.map(({ file, type }) => ({ filename: file.name.slice(-255), contentType: type }));
  const body = batchId ? { batch_id: batchId, items } : { items };
  const headers = { "Idempotency-Key": token() };
  const onWait = (...why) => transfers.forEach((transfer) => transfer.pause(...why));
  const work = () => requestFor(transfers, "/uploads/presign", { method: "POST", body, headers });
  const answer = await (await persist(work, { onWait })).json();
  transfers.forEach((transfer, index) => {
    transfer.aim(answer.items[index], answer.batch_id, answer.expires_in_seconds);
  });
}

async function putOne(transfer) {
  if (!transfer.isActive) return;
  try {
    // Waiting for a free slot can outlast the signature.
    if (transfer.needsTarget) await presign([transfer], transfer.batchId);
    await transfer.put();
  } catch (problem) {
    if (problem.name !== "AbortError") transfer.fail(problem);
  }
}

async function register(transfers) {
  const [{ batchId }] = transfers;
  const items = transfers.map(({ itemId, blobRef, metadata }) => ({
    client_item_id: itemId,
    blob_ref: blobRef,
    data: metadata,
  }));
  const body = { batch_id: batchId, idempotency_key: `web-${token()}`, items };
  await sendRegistration({ body, transfers });
}

async function sendRegistration(registration) {
  const { body, transfers } = registration;
  const say = (state, message) => transfers.forEach((transfer) => transfer.show(state, message));
  const onWait = (problem) => say("registering", `${problem.message} Trying again.`);
  say("registering");
  try {
    await persist(() => requestFor(transfers, "/recordings", { method: "POST", body }), { onWait });
    say("done");
  } catch (problem) {
    for (const transfer of transfers) {
      transfer.registration = problem.retryable ? registration : null;
      transfer.fail(problem);
    }
  }
}

/** Tries again. What was registered together is repeated together, under its key. */
export async function retry(transfer) {
  const { registration } = transfer;
  if (registration && transfer.key === currentKey()) {
    registration.transfers.forEach((each) => (each.registration = null));
    return sendRegistration(registration);
  }
  transfer.renew();
  return sendGroup([transfer], transfer.batchId);
}
