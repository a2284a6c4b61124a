// The HTTP API: the key, requests, problems, and when to try again.

const KEY = "sluice.key";
const TRIES = 5;
let key = "";
let onRefused = () => {};

export const currentKey = () => key;

export function setKey(value) {
  key = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage may be switched off; the key then lives as long as the page.
  }
}

/** Whether a text can be sent as a key at all. */
export const isKey = (text) => /^[\x21-\x7e]+$/.test(text);

/** Moves the key out of the address bar, or finds the one this tab already has. */
export function takeKey() {
  const address = new URL(location.href);
  const given = address.searchParams.get("key");
  if (given !== null) {
    address.searchParams.delete("key");
    history.replaceState(null, "", address.pathname + address.search + address.hash);
  }
  let stored = "";
  try {
    stored = sessionStorage.getItem(KEY) ?? "";
  } catch {
    // As above.
  }
  setKey(isKey(given?.trim() ?? "") ? given.trim() : stored);
}

/** Calls `handler(problem)` when the server refuses the key. */
export function whenRefused(handler) {
  onRefused = handler;
}

export class ApiProblem extends Error {
  constructor(status, body = {}, retryAfterSeconds = 0) {
    super(describe(status, body));
    this.status = status;
    this.code = typeof body.code === "string" ? body.code : "";
    this.retryable = [0, 429, 502, 503, 504].includes(status) || body.retryable === true;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

function describe(status, body) {
  const first = Array.isArray(body.errors) ? body.errors[0] : null;
  if (typeof body.detail === "string" && body.detail) {
    const named = first && !body.detail.includes(String(first.reason));
    return named ? `${body.detail} (${first.field}: ${first.reason})` : body.detail;
  }
  if (status === 0) return "The server cannot be reached.";
  return `The server answered ${status}.`;
}

/** The problem in an answer's body; also for answers that a proxy made. */
export function problemFrom(status, text, retryAfter) {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: the status alone must do.
  }
  const isObject = body !== null && typeof body === "object";
  return new ApiProblem(status, isObject ? body : {}, Number(retryAfter) || 0);
}

/** One request with the key. Answers the Response; throws ApiProblem unless it is a success. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const used = key;
  const sent = { ...headers, "X-API-Key": used };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer;
  try {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers: sent, body: payload, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiProblem(0);
  }
  if (answer.ok) return answer;
  const problem = problemFrom(answer.status, await answer.text().catch(() => ""), answer.headers.get("Retry-After"));
  if (problem.status === 401 && used === key) onRefused(problem);
  throw problem;
}

/** The seconds to wait before try number `failed + 1`; a server that names a time is obeyed. */
export function backoff(failed, problem) {
  const grown = Math.min(30, 2 ** (failed - 1)) * (0.75 + Math.random() / 2);
  return Math.max(grown, Math.min(problem?.retryAfterSeconds ?? 0, 60));
}

export function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("Cancelled", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Runs `work` until it succeeds, as long as its problems are worth another try. */
export async function persist(work, { signal, onWait = () => {} } = {}) {
  for (let failed = 1; ; failed += 1) {
    try {
      return await work();
    } catch (problem) {
      if (!problem.retryable || failed === TRIES) throw problem;
      onWait(problem, failed, TRIES);
      await sleep(backoff(failed, problem), signal);
    }
  }
}

/** A random token; `crypto.randomUUID` is missing on plain-http origins. */
export function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An address of this server as seen from this page, whatever host the server thinks it has. */
export function onThisOrigin(address) {
  const { pathname, search } = new URL(address, location.origin);
  return pathname + search;
}

/** Where a player finds a recording. Only this server ever gets the key. */
export function playable(mediaUrl) {
  const address = new URL(mediaUrl, location.origin);
  const ours = address.origin === location.origin || address.pathname.startsWith("/media/");
  if (!ours) return address.href;
  address.searchParams.set("key", key);
  return address.pathname + address.search;
}

/** The target of `rel="next"` in a Link header, or null. */
export function nextPage(answer) {
  for (const [, target, parameters] of (answer.headers.get("Link") ?? "").matchAll(/<([^>]*)>([^<]*)/g)) {
    if (/;\s*rel\s*=\s*"?[^";,]*\bnext\b/i.test(parameters)) return onThisOrigin(target);
  }
  return null;
}
