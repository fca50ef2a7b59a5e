"use strict";
// Two things move on this page: which key's offsets are shown, and the message diagram.

const SHOWN_MAX = 400; // messages drawn at once
const ROW = 11;
const HEAD = 24; // where names stand, which stay when one scrolls
const LANES_WIDTH = 640;
const LEFT = 74;

const byId = (id) => document.getElementById(id);

function chooseKey() {
  for (const chart of document.querySelectorAll(".keychart")) {
    chart.hidden = chart.dataset.key !== byId("keys").value;
  }
}

byId("keys")?.addEventListener("change", chooseKey);

// The messages ------------------------------------------------------------------------------

const unpacked = new Map();
let packed = null;

async function unpack(place) {
  if (!unpacked.has(place)) {
    const bytes = Uint8Array.from(atob(packed.parts[place].data), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(place, await new Response(stream).json());
  }
  return unpacked.get(place);
}

async function messagesBetween(beginUs, endUs) {
  const found = [];
  let missing = 0;
  for (let place = 0; place < packed.parts.length; place++) {
    const part = packed.parts[place];
    if (part.end_us < beginUs || part.begin_us > endUs) continue;
    if (part.data === null) {
      missing += part.count;
      continue;
    }
    for (const [sent, arrived, src, dest, body] of await unpack(place)) {
      if (sent >= beginUs && sent <= endUs) {
        found.push({ sent, arrived, src: packed.names[src], dest: packed.names[dest], body });
      }
    }
  }
  return { found, missing };
}

const isClient = (name) => /^c\d+$/.test(name);
const laneOf = (name) => (isClient(name) ? "clients" : name);
const typeOf = (message) => /"type":"([^"]*)"/.exec(message.body)?.[1] ?? "?";

function isWanted(message, text) {
  if (!byId("with-clients").checked && (isClient(message.src) || isClient(message.dest))) return false;
  return !text || `${message.src} ${message.dest} ${message.body}`.includes(text);
}

// The diagram -------------------------------------------------------------------------------

function element(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function laneOrder(messages) {
  const rank = (name) => (name === "clients" ? 0 : /^n\d+$/.test(name) ? 1 : 2);
  const names = new Set(messages.flatMap((m) => [laneOf(m.src), laneOf(m.dest)]));
  return [...names].sort(
    (a, b) => rank(a) - rank(b) || a.localeCompare(b, undefined, { numeric: true }),
  );
}

// One row for each departure and each arrival, in order of time.
function placeRows(messages) {
  const moments = [];
  for (const message of messages) {
    moments.push([message.sent, message, "from"]);
    if (message.arrived !== null && message.arrived > message.sent) {
      moments.push([message.arrived, message, "to"]);
    }
  }
  moments.sort((a, b) => a[0] - b[0]);
  moments.forEach(([, message, end], row) => {
    message[end] = (row + 1) * ROW;
    if (end === "from") message.to = message.from;
  });
  return moments;
}

function drawArrow(message, xOf) {
  const x1 = xOf.get(laneOf(message.src));
  let x2 = xOf.get(laneOf(message.dest));
  let y2 = message.to;
  const isLost = message.arrived === null;
  if (isLost) {
    x2 = x1 + (x2 - x1) * 0.6;
    y2 = message.from + ROW;
  }
  const y1 = message.from;
  const tilt = (Math.atan2(y2 - y1, x2 - x1) * 180) / Math.PI;
  const label = `${typeOf(message)} from ${message.src} to ${message.dest}${isLost ? ", lost" : ""}`;
  const arrow = element(
    "g",
    { class: isLost ? "message lost" : "message", tabindex: 0, role: "button", "aria-label": label },
    element("line", { x1, y1, x2, y2, class: "hit" }),
    element("line", { x1, y1, x2, y2 }),
    element("path", {
      d: isLost ? "M -4 -4 L 4 4 M -4 4 L 4 -4" : "M -7 -3.5 L 0 0 L -7 3.5 z",
      transform: `translate(${x2} ${y2}) rotate(${tilt})`,
    }),
  );
  const name = element("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 2 });
  name.textContent = typeOf(message);
  arrow.append(name);
  const choose = () => showBody(message, arrow);
  arrow.addEventListener("click", choose);
  arrow.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose();
    }
  });
  return arrow;
}

function draw(messages) {
  const lanes = laneOrder(messages);
  const gap = (LANES_WIDTH - LEFT - 50) / Math.max(1, lanes.length - 1);
  const xOf = new Map(lanes.map((name, place) => [name, LEFT + place * gap]));
  const moments = placeRows(messages);
  const height = (moments.length + 2) * ROW;
  const names = element("svg", { width: LANES_WIDTH, height: HEAD, class: "names" });
  const svg = element("svg", { width: LANES_WIDTH, height });
  for (const [name, x] of xOf) {
    const head = element("text", { x, y: 16, class: "lane" });
    head.textContent = name;
    names.append(head);
    svg.append(element("line", { x1: x, x2: x, y1: 0, y2: height, class: "lifeline" }));
  }
  moments.forEach(([timeUs], row) => {
    if (row % 4) return;
    const time = element("text", { x: 4, y: (row + 1) * ROW + 3, class: "moment" });
    time.textContent = `${(timeUs / 1e6).toFixed(4)} s`;
    svg.append(time);
  });
  svg.append(...messages.map((message) => drawArrow(message, xOf)));
  byId("lanes").replaceChildren(names, svg);
}

function showBody(message, arrow) {
  document.querySelector(".message.chosen")?.classList.remove("chosen");
  arrow.classList.add("chosen");
  const title = document.createElement("h4");
  title.textContent = `${message.src} → ${message.dest}`;
  const times = document.createElement("p");
  times.className = "dim";
  const took = message.arrived === null ? "never arrived" : `took ${((message.arrived - message.sent) / 1000).toFixed(2)} ms`;
  times.textContent = `sent at ${(message.sent / 1e6).toFixed(6)} s, ${took}`;
  const body = document.createElement("pre");
  try {
    body.textContent = JSON.stringify(JSON.parse(message.body), null, 2);
  } catch {
    body.textContent = message.body; // it was cut short
  }
  byId("body").replaceChildren(title, times, body);
}

let drawing = 0;

async function update() {
  const turn = ++drawing;
  const begin = Number(byId("from").value) * 1e6;
  const end = begin + Number(byId("for").value) * 1e3;
  const text = byId("containing").value.trim();
  const { found, missing } = await messagesBetween(begin, end);
  if (turn !== drawing) return; // something newer was asked for
  const wanted = found.filter((message) => isWanted(message, text));
  const notes = [`${wanted.length.toLocaleString()} messages`];
  if (wanted.length > SHOWN_MAX) notes.push(`the first ${SHOWN_MAX} are drawn`);
  if (missing) notes.push(`about ${missing.toLocaleString()} of this time are not in this report`);
  byId("diagram-note").textContent = `${notes.join("; ")}.`;
  draw(wanted.slice(0, SHOWN_MAX));
}

function show(beginS, endS) {
  byId("from").value = Math.max(0, beginS).toFixed(4);
  byId("for").value = Math.max(1, (endS - beginS) * 1000).toFixed(0);
  return update();
}

function move(direction) {
  const begin = Number(byId("from").value);
  const length = Number(byId("for").value) / 1000;
  show(begin + direction * length, begin + direction * length + length);
}

if (byId("packed")) {
  packed = JSON.parse(byId("packed").textContent);
  for (const id of ["from", "for", "with-clients", "containing"]) {
    byId(id).addEventListener("input", update);
  }
  byId("earlier").addEventListener("click", () => move(-1));
  byId("later").addEventListener("click", () => move(1));
  for (const button of document.querySelectorAll("button.window")) {
    button.addEventListener("click", () => {
      show(Number(button.dataset.begin), Number(button.dataset.end));
      byId("messages").scrollIntoView({ behavior: "smooth" });
    });
  }
  const first = packed.parts.find((part) => part.data !== null && part.end_us > 0);
  show(Math.max(0, first ? first.begin_us / 1e6 : 0), Math.max(0, first ? first.begin_us / 1e6 : 0) + 0.05);
}
