// Sending files from the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "./browser.mjs";
import { call, key, otherKey, record, sound, url } from "./world.mjs";

test("files that are dropped become recordings, and can be played", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  page.drop(["one.wav", sound], ["two.wav", sound]);
  assert.equal(page.text("staged-title"), "Ready to upload 2 files");
  page.type("meta", "speaker: Ada");
  page.click("send");
  await page.until(() => page.transfers.join() === "done,done", "both files sent");
  const sent = () => page.batches.find(({ recordings }) => recordings.some(({ name }) => name === "one.wav"));
  await page.until(() => page.completed(sent()?.id), "a completed batch");
  const { recordings } = sent();
  assert.deepEqual(recordings.map(({ name }) => name).sort(), ["one.wav", "two.wav"]);
  for (const { status, facts, metadata, media } of recordings) {
    assert.equal(status, "completed");
    assert.match(facts, /audio\/wav/);
    assert.match(metadata, /speaker.*Ada/s);
    const player = await fetch(new URL(media, url), { headers: { Range: "bytes=44-99" } });
    assert.equal(player.status, 206);
    assert.deepEqual(Buffer.from(await player.arrayBuffer()), sound.subarray(44, 100));
  }
});

test("more than ten files become several batches", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  const before = page.batches.length;
  const names = Array.from({ length: 11 }, (_, index) => `take ${index}.wav`);
  page.drop(...names.map((name) => [name, sound]));
  assert.equal(page.text("send"), "Upload 11 files in 2 batches");
  page.click("send");
  await page.until(() => page.transfers.filter((state) => state === "done").length === 11, "all sent");
  const added = () => page.batches.slice(0, -before || undefined).flatMap(({ recordings }) => recordings);
  await page.until(() => page.batches.length === before + 2 && added().length === 11, "two more batches");
  assert.deepEqual(added().map(({ name }) => name).sort(), names.sort());
});

test("a file can join a batch that is there", async (t) => {
  const id = await record("early.wav");
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive && page.batch(id), "the batch");
  page.drop(["late.wav", sound]);
  page.byId("target").value = id;
  page.click("send");
  await page.until(() => page.batch(id).recordings.length === 2, "one more recording");
  await page.until(() => page.completed(id), "a completed batch");
});

test("metadata that cannot be read is pointed out, and nothing is sent", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  page.drop(["one.wav", sound]);
  page.type("meta", '{"speaker": ');
  page.click("send");
  assert.match(page.text("meta-problem"), /not valid JSON/);
  assert.deepEqual(page.transfers, []);
});

test("a refused file says why, and the others get through", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  page.drop(["empty.wav", new Uint8Array()], ["full.wav", sound]);
  page.click("send");
  await page.until(() => page.transfers.join() === "failed,done", "one failed, one done");
  assert.match(page.problems[0], /empty/i);
});

test("who changes the key takes no file along", async (t) => {
  const page = await open(t, `${url}/ui?key=${key}`);
  await page.until(() => page.isLive, "live");
  page.drop(...Array.from({ length: 30 }, (_, index) => [`mine ${index}.wav`, sound]));
  page.click("send");
  await page.until(() => page.transfers.includes("done"), "the first file sent");
  page.leave();
  assert.deepEqual(page.transfers, []);
  page.type("key", otherKey);
  page.click("key-send");
  await page.until(() => page.isLive, "live again");
  // Whatever was still on its way has ended by the time this one is done.
  page.drop(["theirs.wav", sound]);
  page.click("send");
  await page.until(() => page.transfers.join() === "done", "their file sent");
  const theirs = await call("GET", "/jsonui", undefined, otherKey);
  const names = theirs.flatMap(({ recordings }) => recordings.map(({ filename }) => filename));
  assert.deepEqual(names, ["theirs.wav"]);
});
