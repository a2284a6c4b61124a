// Values as people read them, and the few that people type.

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

export function size(bytes) {
  let value = bytes;
  let step = 0;
  while (value >= 999.5 && step < UNITS.length - 1) {
    value /= 1000;
    step += 1;
  }
  return new Intl.NumberFormat(undefined, {
    style: "unit",
    unit: UNITS[step],
    unitDisplay: step ? "short" : "long",
    maximumFractionDigits: step && value < 100 ? 1 : 0,
  }).format(value);
}

export const exactBytes = (bytes) => `${new Intl.NumberFormat().format(bytes)} bytes`;

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const LONG_MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export const moment = (iso) => MOMENT.format(new Date(iso));
export const longMoment = (iso) => LONG_MOMENT.format(new Date(iso));

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// What browsers leave empty or disagree on.
const TYPES = {
  aac: "audio/aac",
  aif: "audio/aiff",
  aiff: "audio/aiff",
  amr: "audio/amr",
  avi: "video/x-msvideo",
  flac: "audio/flac",
  m4a: "audio/mp4",
  m4v: "video/mp4",
  mka: "audio/x-matroska",
  mkv: "video/x-matroska",
  mov: "video/quicktime",
  mp3: "audio/mpeg",
  mp4: "video/mp4",
  mxf: "application/mxf",
  oga: "audio/ogg",
  ogg: "audio/ogg",
  ogv: "video/ogg",
  opus: "audio/ogg",
  ts: "video/mp2t",
  wav: "audio/wav",
  wave: "audio/wav",
  weba: "audio/webm",
  webm: "video/webm",
  wma: "audio/x-ms-wma",
};
const MEDIA_TYPE = /^[A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+-]+$/;

/** The media type of a file, without parameters, as the API takes it. */
export function contentType(file) {
  const told = file.type.split(";")[0].trim();
  if (MEDIA_TYPE.test(told) && told.length <= 127) return told;
  const extension = file.name.toLowerCase().split(".").pop();
  return (Object.hasOwn(TYPES, extension) && TYPES[extension]) || "application/octet-stream";
}

/** Metadata from what was typed: a JSON object, or lines of `name: value`. Throws with a reason. */
export function parseMetadata(text) {
  const typed = text.trim();
  if (!typed) return {};
  if (/^[{["]/.test(typed)) {
    let value;
    try {
      value = JSON.parse(typed);
    } catch (error) {
      throw new Error(`This is not valid JSON: ${error.message}`);
    }
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      throw new Error("Metadata must be a JSON object, such as {\"speaker\": \"Ada\"}.");
    }
    return value;
  }
  const entries = typed.split("\n").filter((line) => line.trim()).map((line) => {
    const [, name, value] = /^\s*([^:]+?)\s*:\s*(.*?)\s*$/.exec(line) ?? [];
    if (!name) throw new Error(`“${line.trim()}” has no name. Write it as name: value.`);
    return [name, value];
  });
  return Object.fromEntries(entries);
}
