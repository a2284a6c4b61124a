// A browser without a screen: the page as the gateway serves it, in a DOM of its own.

import { Browser } from "happy-dom";

const PATIENCE_MILLISECONDS = 60_000;
const LOOK_MILLISECONDS = 50;

/** Opens the page at an address, and closes it when the test ends. */
export async function open(test, address) {
  const settings = { enableJavaScriptEvaluation: true, suppressInsecureJavaScriptEnvironmentWarning: true };
  const browser = new Browser({ settings });
  const page = browser.newPage();
  await page.goto(address, { beforeContentCallback: complete });
  const opened = new Page(page.mainFrame.window);
  test.after(async () => {
    opened.leave();
    await browser.close();
  });
  return opened;
}

/** Adds what browsers have and this one lacks. */
function complete(window) {
  window.TextDecoderStream = TextDecoderStream;
  // Nothing is ever near the screen where there is none; so everything is.
  window.IntersectionObserver = class {
    constructor(report) {
      this.report = report;
    }
    observe(target) {
      this.report([{ isIntersecting: true, target }]);
    }
    unobserve() {}
  };
}

/** What a reader of the page sees and does. */
class Page {
  constructor(window) {
    this.window = window;
    this.document = window.document;
  }

  get address() {
    return this.window.location.href;
  }

  get isLive() {
    return this.text("live-text") === "Live";
  }

  byId(id) {
    return this.document.getElementById(id);
  }

  text(id) {
    return this.byId(id).textContent;
  }

  /** The batches as they are listed. */
  get batches() {
    return [...this.document.querySelectorAll("#batches > *")].map(readBatch);
  }

  batch(id) {
    return this.batches.find((each) => each.id === id);
  }

  /** The batch, once it and each recording in it is completed; one may be told before the other. */
  completed(id) {
    const batch = this.batch(id);
    return [batch, ...(batch?.recordings ?? [])].every((each) => each?.status === "completed") ? batch : null;
  }

  /** Where the files stand that were sent from here. */
  get transfers() {
    return [...this.document.querySelectorAll("#transfer-list > *")].map((item) => item.dataset.state);
  }

  /** What stood in their way. */
  get problems() {
    return [...this.document.querySelectorAll("#transfer-list .problem")].map((each) => each.textContent);
  }

  type(id, text) {
    this.byId(id).value = text;
    this.byId(id).dispatchEvent(new this.window.Event("input", { bubbles: true }));
  }

  click(id) {
    this.byId(id).click();
  }

  /** Drops files on the page: pairs of a name and bytes. */
  drop(...files) {
    const dropped = files.map(([name, bytes]) => new this.window.File([bytes], name, { type: "audio/wav" }));
    const event = new this.window.Event("drop", { bubbles: true, cancelable: true });
    event.dataTransfer = { types: ["Files"], files: dropped, items: [] };
    this.document.body.dispatchEvent(event);
  }

  /** Signs out; uploads that still run are ended. */
  leave() {
    this.window.confirm = () => true;
    this.click("change-key");
  }

  /** Waits until `look()` is true. */
  async until(look, what) {
    const deadline = Date.now() + PATIENCE_MILLISECONDS;
    while (!look()) {
      if (Date.now() > deadline) throw new Error(`never seen: ${what}; ${this.document.body.textContent}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MILLISECONDS));
    }
  }
}

function readBatch(card) {
  return {
    id: card.querySelector("h3").textContent,
    status: card.querySelector(".badge").textContent,
    recordings: [...card.querySelectorAll(".recording")].map(readRecording),
    remove: () => card.querySelector("button[aria-label^='Delete']").click(),
  };
}

function readRecording(row) {
  const text = (part) => row.querySelector(part).textContent;
  return {
    name: text(".name"),
    status: text(".badge"),
    facts: text(".facts"),
    metadata: text(".metadata"),
    media: row.querySelector("audio").src,
  };
}
