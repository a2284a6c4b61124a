// What the page shows of what others do, and how it gets there.

import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "./browser.mjs";
import { call, key, line, record, url } from "./world.mjs";

test("the key leaves the address bar, and the newest batch comes first", async (t) => {
  const older = await record("older.wav");
  const newer = await record("newer.wav");
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.batches.length >= 2, "two batches");
  assert.equal(page.address, `${url}/ui`);
  assert.deepEqual(page.batches.slice(0, 2).map(({ id }) => id), [newer, older]);
});

test("a wrong key is asked for again", async (t) => {
  const page = await open(t, `${url}/ui?key=wrong`);
  await page.until(() => page.text("key-problem"), "a problem");
  assert.match(page.text("key-problem"), /does not accept/);
  assert.ok(page.byId("content").hidden);
  page.type("key", "with spaces");
  page.click("key-send");
  assert.match(page.text("key-problem"), /no spaces/);
  page.type("key", key);
  page.click("key-send");
  await page.until(() => page.isLive, "live");
  assert.ok(page.byId("sign-in").hidden);
});

test("what others upload and delete is seen without reloading", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  const id = await record("elsewhere.wav");
  await page.until(() => page.completed(id)?.recordings.length, "their batch");
  const [recording] = page.batch(id).recordings;
  assert.deepEqual([recording.name, recording.status], ["elsewhere.wav", "completed"]);
  await call("DELETE", `/batches/${id}`);
  page.click("refresh");
  await page.until(() => !page.batch(id), "their batch gone");
});

test("a batch is deleted once that is confirmed", async (t) => {
  const id = await record("unwanted.wav");
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.batch(id), "the batch");
  page.batch(id).remove();
  assert.match(page.text("delete-text"), new RegExp(`${id} and its 1 recording will be removed`));
  page.click("delete-confirm");
  await page.until(() => !page.batch(id), "the batch gone");
  await assert.rejects(call("GET", `/batches/${id}`), /batch-not-found/);
});

test("what happened while the line was cut is made up for", async (t) => {
  const way = await line(t);
  const page = await open(t, `${way.url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  way.cut();
  await page.until(() => !page.isLive, "not live");
  const id = await record("meanwhile.wav");
  way.mend();
  await page.until(() => page.completed(id), "the batch of meanwhile");
  await page.until(() => page.isLive, "live again");
});
