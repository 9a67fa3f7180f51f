// The page: which panes are shown, and what brings them up to date.

import { fill, h } from "./dom";
import { Feed, type Source } from "./feed";
import { GROUPS, type Page, PAGES, PANES, type Place, REPORT_PAGES } from "./pages";
import type { Context, Pane } from "./pane";
import { player } from "./player";
import { readRecording, type Recording, Replay } from "./recording";
import { Store } from "./store";

const root = document.getElementById("dashboard")!;
const store = new Store();
const settings = { page: root.dataset.page ?? "status", single: root.dataset.single === "true", actions: root.dataset.actions === "true" };

let panes: Pane[] = [];
let source: Source;
let recording: Recording | null = null;
let inFile = ""; // the page of a recording that is shown, with its parameters
const main = h("main", { id: "panes", tabindex: -1 });
const state = h("span", { class: "state", role: "status" }, "connecting…");

function theme(): void {
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "dark" || asked === "light") document.documentElement.dataset.theme = asked;
}

function addressOf(page: string, parameters: { [name: string]: string } = {}): string {
  const chosen = new URLSearchParams(parameters), asked = document.documentElement.dataset.theme;
  if (asked && !recording) chosen.set("theme", asked);
  return `${recording ? "#" : ""}${page}${chosen.size ? `?${chosen}` : ""}`;
}

function open(page: string, parameters: { [name: string]: string } = {}): void {
  const address = addressOf(page, parameters);
  if (recording) inFile = address.slice(1);
  try {
    history.pushState(null, "", address);
  } catch {
    // A frame without an address of its own, as in a notebook: nothing but the page changes.
  }
  show();
}

// The page that is shown, and its parameters.
function place(): [string, URLSearchParams] {
  if (recording) {
    const [page, parameters] = (inFile || recording.pages[0]!).split("?", 2);
    return [page!, new URLSearchParams(parameters)];
  }
  return [
    settings.single ? settings.page : location.pathname.split("/").pop() || settings.page,
    new URLSearchParams(location.search),
  ];
}

function show(): void {
  const [page, parameters] = place();
  const context: Context = {
    store, source, actions: settings.actions, parameters, recorded: recording !== null, addressOf,
    open: settings.single ? openOutside : open,
  };
  for (const pane of panes) pane.close?.();
  const known = (recording && REPORT_PAGES[page]) || PAGES[page] || PAGES.status!;
  const places: Place[] = settings.single ? [{ ...PANES[page]!, area: "full" }] : known.panes;
  panes = [];
  fill(main, ...places.map((place) => {
    const pane = place.make(context);
    panes.push(pane);
    return h("section", { class: `pane ${place.area}`, "aria-label": place.title || "Summary" },
      place.title && !(settings.single) ? h("h2", { class: "title" }, place.title) : null, pane.element);
  }));
  document.title = recording ? `${recording.title}: ${known.title}` : `shoal: ${settings.single ? places[0]!.title : known.title}`;
  for (const each of document.querySelectorAll("nav a")) {
    each.getAttribute("data-page") === page ? each.setAttribute("aria-current", "page") : each.removeAttribute("aria-current");
  }
  draw();
}

// A pane alone in the frame of another page opens what it names in a window of its own.
function openOutside(page: string, parameters: { [name: string]: string } = {}): void {
  window.open(`${root.dataset.base ?? ""}${page}?${new URLSearchParams(parameters)}`, "_blank", "noopener");
}

function draw(): void {
  for (const pane of panes) pane.update();
}

let waiting = false;
function soon(): void {
  if (waiting || document.hidden) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function navigation(): HTMLElement {
  const named = recording ? recording.pages.map((name) => [name, (REPORT_PAGES[name] ?? PAGES[name])!] as const) : Object.entries(PAGES);
  const link = (name: string, page: Page) =>
    h("a", { href: addressOf(name), "data-page": name, onclick: (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(name);
    } }, page.title);
  const links = recording ? named.map(([name, page]) => link(name, page)) : GROUPS.map((group) =>
    h("div", { class: "group", role: "group", "aria-label": group }, h("span", {}, group),
      ...named.filter(([, page]) => page.group === group).map(([name, page]) => link(name, page))));
  const find = h("input", { type: "search", placeholder: "Search keys", "aria-label": "Search keys", onchange: () => open("search", { text: find.value }) });
  const dark = h("button", { type: "button", "aria-label": "Dark or light", title: "Dark or light", onclick: () => {
    const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    show();
  } }, "◐");
  return h("header", {}, h("a", { href: "#panes", class: "skip" }, "To the content"), h("b", { class: "brand" }, recording ? recording.title : "shoal"),
    h("nav", { "aria-label": "Pages" }, ...links), recording ? null : find, dark, state);
}

function live(): void {
  const feed = new Feed(
    root.dataset.base ?? "",
    (frame) => {
      store.apply(frame);
      soon();
    },
    (connected) => {
      store.connected = connected;
      state.textContent = connected ? "live" : "not connected";
      state.className = connected ? "state live" : "state lost";
    },
  );
  source = feed;
  fill(root, settings.single ? null : navigation(), main);
  window.addEventListener("popstate", show);
  setInterval(soon, 1000);
  show();
  feed.connect();
  Object.assign(window, { shoalDashboard: { store, feed, panes: () => panes } });
}

function replayed(found: Recording): void {
  recording = found;
  inFile = location.hash.slice(1);
  const replay = new Replay(found, store);
  source = replay;
  replay.go(replay.end);
  state.textContent = `recorded ${new Date(replay.end * 1000).toLocaleString([], { hour12: false, dateStyle: "short", timeStyle: "short" })}`;
  const bar = replay.moves ? player(replay, soon) : null;
  fill(root, navigation(), bar ? h("div", { class: "column fill" }, main, bar) : main);
  const went = () => {
    inFile = location.hash.slice(1);
    if (inFile !== "panes") show();
  };
  window.addEventListener("popstate", went);
  show();
  Object.assign(window, { shoalDashboard: { store, replay, panes: () => panes } });
}

theme();
document.documentElement.classList.toggle("single", settings.single);
window.addEventListener("resize", soon);
// `shoalDashboard`: for tests in a browser, and the curious.
if (document.getElementById("recording")) {
  readRecording().then((found) => replayed(found!)).catch((error: Error) => fill(root, `The recording cannot be read: ${error.message}`));
} else {
  live();
}
