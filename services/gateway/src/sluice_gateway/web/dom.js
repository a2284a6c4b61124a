// Building elements. Text from the server only ever arrives here as text.

export const byId = (id) => document.getElementById(id);

/** An element with properties (`class`, `data-*` and `aria-*` as attributes) and children. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.includes("-")) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** Sets text only when it differs, so that screen readers and selections are left alone. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";
const CIRCLE = "M8 2.500a5.5 5.5 0 1 1 0 11 5.5 5.5 0 1 1 0-11";
const ICONS = {
  open: CIRCLE,
  queued: `${CIRCLE}M8 5v3.200l2 1.3`,
  pending: `${CIRCLE}M8 5v3.200l2 1.3`,
  processing: "M13.5 8A5.5 5.5 0 1 1 8 2.5",
  completed: "M3 8.500l3.5 3.500L13 4.5",
  failed: "M4 4l8 8M12 4l-8 8",
};

/** A status with a shape, a word and a colour; any one of them is enough to read it. */
export function badge() {
  const path = document.createElementNS(SVG, "path");
  const icon = document.createElementNS(SVG, "svg");
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.setAttribute("aria-hidden", "true");
  icon.append(path);
  const word = el("span");
  const node = el("span", { class: "badge" }, icon, word);
  const show = (status) => {
    if (node.dataset.status !== status) {
      node.dataset.status = status;
      path.setAttribute("d", ICONS[status] ?? CIRCLE);
    }
    setText(word, status);
  };
  return { node, show };
}

let announcement = 0;
const waiting = new Set();

/** Says something to screen readers: gathered over two seconds, never more than three things. */
export function announce(text) {
  waiting.add(text);
  if (announcement) return;
  announcement = setTimeout(() => {
    const said = [...waiting];
    waiting.clear();
    announcement = 0;
    const rest = said.length > 3 ? ` And ${said.length - 3} more changes.` : "";
    byId("announce").textContent = said.slice(0, 3).join(". ") + "." + rest;
  }, 2000);
}
