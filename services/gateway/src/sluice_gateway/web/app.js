// The page as a whole: the key first, then the list, the live changes and the uploads.

import { currentKey, isKey, request, setKey, takeKey, whenRefused } from "./api.js";
import { BatchList } from "./batches.js";
import { announce, byId, setText } from "./dom.js";
import { LiveEvents } from "./events.js";
import { count } from "./format.js";
import { UploadPanel } from "./panel.js";

const LIVE_WORDS = { live: "Live", reconnecting: "Reconnecting…", off: "Not live" };

const list = new BatchList({ onDelete: askToDelete, onListed: () => panel.offer(list.batches) });
const panel = new UploadPanel({ onSent: () => list.refresh() });
const live = new LiveEvents({ onChange: (change) => list.apply(change), onState: showLive, onGap: () => list.refresh() });

let liveTimer = 0;

/** A reconnection that takes a moment is not worth a flicker. */
function showLive(state) {
  clearTimeout(liveTimer);
  const show = () => {
    byId("live").dataset.state = state;
    setText(byId("live-text"), LIVE_WORDS[state]);
  };
  if (state === "reconnecting" && byId("live").dataset.state === "live") liveTimer = setTimeout(show, 1500);
  else show();
}

function showPart(isSignedIn) {
  document.querySelector(".skip").hidden = !isSignedIn;
  byId("sign-in").hidden = isSignedIn;
  byId("content").hidden = !isSignedIn;
  byId("live").hidden = !isSignedIn;
  byId("change-key").hidden = !isSignedIn;
}

function askForKey(problem = "") {
  live.stop();
  list.clear();
  showPart(false);
  setText(byId("key-problem"), problem);
  byId("key").setAttribute("aria-invalid", String(problem !== ""));
  byId("key").focus();
}

/** Opens the page with the present key, or says why not. */
async function open() {
  byId("key-send").disabled = true;
  if (byId("sign-in").hidden) showPart(true);
  try {
    await live.mark();
    await list.load();
  } catch (problem) {
    if (problem.status === 401) return; // Already asked for another key.
    if (problem.status === 403) return askForKey("This key may not read recordings.");
    setText(byId("list-problem"), `The list could not be read. ${problem.message} Trying again soon.`);
    list.refreshSoon();
  } finally {
    byId("key-send").disabled = false;
  }
  showPart(true);
  live.start();
  const linked = list.find(location.hash.slice(1));
  linked?.node.scrollIntoView();
  linked?.title.focus({ preventScroll: true });
}

whenRefused(() => {
  setKey("");
  askForKey("The server does not accept this key.");
});

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = byId("key").value.trim();
  if (!given) return askForKey("Enter a key first.");
  if (!isKey(given)) return askForKey("A key has no spaces or special letters.");
  setKey(given);
  byId("key").value = "";
  setText(byId("key-problem"), "");
  open().then(() => byId("content").hidden || byId("list-title").focus({ preventScroll: true }));
});

byId("change-key").addEventListener("click", () => {
  if (panel.isBusy && !confirm("Uploads are still running. End them?")) return;
  panel.leave();
  setKey("");
  askForKey();
});

let doomed = null;

function askToDelete(card) {
  doomed = card.id;
  setText(byId("delete-text"), `${card.id} and its ${count(card.rows.size, "recording")} will be removed for good.`);
  setText(byId("delete-problem"), "");
  byId("delete-dialog").showModal();
}

byId("delete-confirm").addEventListener("click", async ({ currentTarget: button }) => {
  const id = doomed;
  button.disabled = true;
  try {
    await request(`/batches/${encodeURIComponent(id)}`, { method: "DELETE" });
  } catch (problem) {
    if (problem.status !== 404) {
      setText(byId("delete-problem"), problem.message);
      return;
    }
  } finally {
    button.disabled = false;
  }
  byId("delete-dialog").close();
  list.remove(id);
  announce(`Batch ${id} was deleted`);
});

function example() {
  const { origin } = location;
  return [
    "# 1. Ask where to put the file",
    `curl -sS ${origin}/uploads/presign -H "X-API-Key: $SLUICE_KEY" \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"items": [{"filename": "talk.mp3", "contentType": "audio/mpeg"}]}'`,
    "",
    "# 2. Send it, to the upload_url of the answer",
    `curl -sS -T talk.mp3 -H 'Content-Type: audio/mpeg' "$UPLOAD_URL"`,
    "",
    "# 3. Make it a recording, with the batch_id and blob_ref of the answer",
    `curl -sS ${origin}/recordings -H "X-API-Key: $SLUICE_KEY" \\`,
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"batch_id": "'"$BATCH_ID"'", "idempotency_key": "'"$BATCH_ID"'",`,
    `       "items": [{"client_item_id": "1", "blob_ref": "'"$BLOB_REF"'", "data": {}}]}'`,
  ].join("\n");
}

byId("example").textContent = example();
takeKey();
if (currentKey()) open();
else askForKey();
