// The stack that is tested, as its clients reach it: addresses, keys, a recording.

import { readFile } from "node:fs/promises";
import { connect, createServer } from "node:net";

export const { SLUICE_URL: url, SLUICE_KEY: key, SLUICE_OTHER_KEY: otherKey } = process.env;
export const sound = await readFile(process.env.SLUICE_SOUND);

/** One request to the API; answers what it says. */
export async function call(method, path, body, as = key) {
  const headers = { "X-API-Key": as, "Content-Type": "application/json" };
  const answer = await fetch(new URL(path, url), { method, headers, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}

/** Uploads one recording as any other client does; the id of its batch. */
export async function record(filename) {
  const items = [{ filename, contentType: "audio/wav" }];
  const { batch_id: batchId, items: [item] } = await call("POST", "/uploads/presign", { items });
  const sent = await fetch(item.upload_url, { method: "PUT", headers: item.required_headers, body: sound });
  if (!sent.ok) throw new Error(`PUT: ${sent.status} ${await sent.text()}`);
  const described = [{ client_item_id: "1", blob_ref: item.blob_ref, data: {} }];
  await call("POST", "/recordings", { batch_id: batchId, idempotency_key: batchId, items: described });
  return batchId;
}

/** A way to the server that can be broken: its address, and `cut()` and `mend()`. */
export async function line(test) {
  const target = new URL(url);
  const open = new Set();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [one, other] of [[near, far], [far, near]]) {
      open.add(one);
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => open.delete(one) && other.destroy());
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    isCut = true;
    open.forEach((each) => each.destroy());
  };
  test.after(() => {
    cut();
    server.close();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, cut, mend: () => (isCut = false) };
}
