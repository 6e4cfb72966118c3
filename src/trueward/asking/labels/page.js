"use strict";
const batch = JSON.parse(document.getElementById("batch").textContent);
const at = (id) => document.getElementById(id);
const ROLE = /^(system|developer|user|human|assistant|tool|function)[ \t]*:[ \t]?/gim;
const NAMES = { user: "User", human: "User", assistant: "Assistant", system: "Instructions", developer: "Instructions" };
const LONG = 1500; // characters of a conversation that is shown folded
const KEY = "trueward.labels." + batch.batch;
const ITEMS = new Map(batch.items.map((row) => [row[0], row]));

let state = null; // {name, part, done: [[item, gold or null, reason or null, seconds, time]]}
let order = [];
let shown = null;
let seconds = 0;
let since = null;
let unsaved = false;

// storage of this browser; pages in files may have none
function read(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}
function write(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); return true; } catch { return false; }
}
function keep() {
  unsaved = !(write(`${KEY}.${state.name}`, state) && write(KEY, state.name));
  if (unsaved) say("note", "This browser stores nothing for this page: download your labels before you close it.");
}
function stored() {
  const found = [];
  try {
    for (let i = 0; i < localStorage.length; i++) {
      const key = localStorage.key(i);
      const one = key.startsWith(`${KEY}.`) ? read(key) : null;
      if (one && Array.isArray(one.done)) found.push(one);
    }
  } catch { /* no storage */ }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}
function say(id, text) {
  at(id).textContent = text;
  if (id === "note") at(id).hidden = !text;
}

// an order of its own for each annotator: FNV-1a seeds mulberry32, which shuffles
function shuffled(items, text) {
  let h = 2166136261;
  for (const c of text) h = Math.imul(h ^ c.codePointAt(0), 16777619) >>> 0;
  const random = () => {
    h = (h + 0x6d2b79f5) >>> 0;
    let t = Math.imul(h ^ (h >>> 15), h | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const list = items.slice();
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}
function own(name, part) {
  const index = (batch.annotators || []).indexOf(name);
  const rows = batch.items.filter((row) => (batch.annotators ? row[5].includes(index) : part !== "twice" || row[4] > 1));
  return shuffled(rows.map((row) => row[0]), `${batch.batch} ${name.toLowerCase()}`);
}

// texts become text nodes only
function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
function body(text) {
  const box = document.createDocumentFragment();
  text.split(/^[ \t]*```[^\n`]*\n?/m).forEach((part, i) => {
    if (i % 2) {
      const pre = node("pre");
      pre.tabIndex = 0;
      pre.append(node("code", "", part));
      box.append(pre);
    } else if (part || !i) {
      const block = node("div", "turn-text", part.replace(/\n+$/, ""));
      block.dir = "auto";
      box.append(block);
    }
  });
  return box;
}
function turns(text) {
  if (text.trimStart().startsWith("[")) {
    try {
      const list = JSON.parse(text);
      if (list.length && list.every((m) => typeof m.role === "string" && typeof m.content === "string"))
        return list.map((m) => [m.role, m.content]);
    } catch { /* plain text */ }
  }
  const heads = [...text.matchAll(ROLE)];
  if (!heads.length || heads[0].index) return [["user", text]];
  return heads.map((head, i) => {
    const end = i + 1 < heads.length ? heads[i + 1].index : text.length;
    return [head[1].toLowerCase(), text.slice(head.index + head[0].length, end).replace(/\n$/, "")];
  });
}
function turn([role, text]) {
  const box = node("div", `turn ${role === "assistant" ? "assistant" : "other"}`);
  box.append(node("p", "role", NAMES[role] || role), body(text));
  return box;
}
function draw(item) {
  const [, prompt, response] = ITEMS.get(item);
  const all = turns(batch.prompts[prompt]);
  const late = all.length > 3 ? all.slice(-1) : all;
  const early = all.slice(0, all.length - late.length);
  at("earlier").hidden = !early.length;
  at("earlier").open = false;
  say("earlier-count", `${early.length} earlier turns`);
  at("earlier-turns").replaceChildren(...early.map(turn));
  at("prompt").replaceChildren(...late.map(turn));
  const long = late.reduce((n, [, text]) => n + text.length, 0) > LONG;
  fold(long);
  at("unfold").hidden = !long;
  at("response").replaceChildren(body(response));
}
function fold(on) {
  at("prompt").classList.toggle("folded", on);
  if (on) at("prompt").tabIndex = 0; else at("prompt").removeAttribute("tabindex");
  at("unfold").setAttribute("aria-expanded", String(!on));
  say("unfold", on ? "Show all" : "Show less");
}

function show(view) {
  for (const id of ["start", "item", "end"]) at(id).hidden = id !== view;
  at("answers").hidden = view === "start";
  at("bar").hidden = view === "start";
  at("leave").hidden = view === "start";
  for (const id of ["good", "bad", "skip"]) at(id).disabled = view !== "item";
}
function next(focus) {
  const done = new Set(state.done.map((row) => row[0]));
  const item = order.find((id) => !done.has(id)) || null;
  const number = order.length - order.filter((id) => !done.has(id)).length;
  say("count", `${number} of ${order.length} done`);
  at("progress").max = order.length || 1;
  at("progress").value = number;
  at("undo").disabled = !state.done.length;
  if (item !== shown) [seconds, since] = [0, null];
  shown = item;
  since = document.hidden ? null : performance.now();
  if (item === null) {
    const skipped = state.done.filter((row) => row[1] === null).length;
    say("end-text", `${number} responses, ${skipped} of them skipped. Download your labels and send the file back.`);
    show("end");
  } else {
    show("item");
    say("item-head", `Response ${number + 1}`);
    draw(item);
  }
  at("guide").open = false;
  window.scrollTo(0, 0);
  if (focus) at(item === null ? "end-head" : "item-head").focus({ preventScroll: true });
}
function pause() {
  if (since !== null) seconds += (performance.now() - since) / 1000;
  since = document.hidden ? null : performance.now();
}
function decide(gold, reason) {
  if (shown === null) return;
  pause();
  state.done.push([shown, gold, reason, Math.round(seconds * 100) / 100, new Date().toISOString()]);
  keep();
  const word = gold === null ? "Skipped" : gold ? "Good" : "Bad";
  next(true);
  say("said", `${word}. ${at("count").textContent}.`);
}
function undo() {
  if (!state.done.length) return;
  const [item, , , before] = state.done.pop();
  keep();
  // the response that was undone is shown again, although it may not be the first of the order
  order = [item, ...order.filter((id) => id !== item)];
  next(true);
  seconds = before;
  say("said", "Undone. The response is shown again.");
}
function begin(name, part) {
  const found = read(`${KEY}.${name}`);
  state = found && Array.isArray(found.done) ? found : { name, part, done: [] };
  state.done = state.done.filter((row) => ITEMS.has(row[0]));
  order = own(state.name, state.part);
  keep();
  say("title", `Label responses: ${state.name}`);
  next(true);
}

function rows() {
  return state.done.map(([item, gold, reason, time, when]) => {
    const [, prompt, response, weight] = ITEMS.get(item);
    return JSON.stringify({
      format: batch.format, batch: batch.batch, rows: batch.items.length, item, annotator: state.name,
      prompt: batch.prompts[prompt], response, gold_weight: weight, gold, skipped: reason, seconds: time, at: when,
    });
  });
}
function download() {
  const link = node("a");
  link.href = URL.createObjectURL(new Blob([rows().map((row) => `${row}\n`).join("")], { type: "application/jsonl" }));
  link.download = `labels-${state.name.replace(/[^\p{L}\p{N}]+/gu, "_")}.jsonl`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = false;
}

function start() {
  say("guideline", batch.guideline);
  const twice = batch.items.filter((row) => row[4] > 1).length;
  say("part-all", `all ${batch.items.length}`);
  say("part-twice", `only the ${twice} that a second person labels`);
  at("parts").hidden = Boolean(batch.annotators) || !twice || twice === batch.items.length;
  const field = batch.annotators ? node("select") : node("input");
  field.id = "name";
  field.required = true;
  if (batch.annotators) field.append(...batch.annotators.map((name) => node("option", "", name)));
  else [field.maxLength, field.autocomplete] = [60, "off"];
  at("name-place").append(field);
  const earlier = stored();
  for (const one of earlier) {
    const button = node("button", "", `${one.name}, ${one.done.length} done`);
    button.type = "button";
    button.addEventListener("click", () => begin(one.name, one.part));
    at("again").append(button, " ");
  }
  at("again").hidden = !earlier.length;
  at("guide").open = true;
  show("start");
  const last = read(KEY);
  if (earlier.some((one) => one.name === last)) begin(last);
}
batch.reasons.forEach((reason, i) => {
  const button = node("button");
  button.type = "button";
  button.addEventListener("click", () => skip(reason));
  button.append(node("kbd", "", String(i + 1)), reason);
  at("reasons").append(button);
});
at("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = at("name").value.trim();
  if (name) begin(name, batch.annotators ? "own" : at("who").elements.part.value);
});
at("good").addEventListener("click", () => decide(1, null));
at("bad").addEventListener("click", () => decide(0, null));
at("undo").addEventListener("click", undo);
function ask() {
  at("other").value = "";
  at("why").showModal();
}
at("skip").addEventListener("click", ask);
function skip(reason) { // at once: the event `close` comes later than the next key
  at("why").close();
  decide(null, reason);
}
at("why-form").addEventListener("submit", (event) => {
  event.preventDefault();
  skip(at("other").value.trim() || "no reason given");
});
at("why-back").addEventListener("click", () => at("why").close());
at("unfold").addEventListener("click", () => fold(!at("prompt").classList.contains("folded")));
for (const id of ["save", "save-end"]) at(id).addEventListener("click", download);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (at("why").open) {
    const reason = typing ? undefined : batch.reasons[Number(event.key) - 1];
    if (reason) { event.preventDefault(); skip(reason); }
    return;
  }
  if (typing || !state) return;
  const action = { 1: () => decide(1, null), 0: () => decide(0, null), s: () => shown && ask(), u: undo }[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});
at("leave").addEventListener("click", () => {
  try { localStorage.removeItem(KEY); } catch { /* no storage */ }
  location.reload();
});
document.addEventListener("visibilitychange", pause);
window.addEventListener("storage", (event) => {
  if (!state || event.key !== `${KEY}.${state.name}` || !event.newValue) return;
  state = JSON.parse(event.newValue);
  say("note", "This page is open in another tab, too; both show the same labels.");
  next(false);
});
window.addEventListener("beforeunload", (event) => { if (unsaved && state && state.done.length) event.preventDefault(); });
start();
