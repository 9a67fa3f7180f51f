// The page: which panes are shown, and what brings them up to date.

import { fill, h } from "./dom";
import { Feed, type Source } from "./feed";
import { PAGES, PANES, type Place } from "./pages";
import type { Context, Pane } from "./pane";
import { Store } from "./store";

const root = document.getElementById("dashboard")!;
const store = new Store();
const settings = { page: root.dataset.page ?? "status", single: root.dataset.single === "true", actions: root.dataset.actions === "true" };

let panes: Pane[] = [];
let source: Source;
const main = h("main", { id: "panes", tabindex: -1 });
const state = h("span", { class: "state", role: "status" }, "connecting…");

function theme(): void {
  const asked = new URLSearchParams(location.search).get("theme");
  if (asked === "dark" || asked === "light") document.documentElement.dataset.theme = asked;
}

function open(page: string, parameters: { [name: string]: string } = {}): void {
  const chosen = new URLSearchParams(parameters), asked = document.documentElement.dataset.theme;
  if (asked) chosen.set("theme", asked);
  history.pushState(null, "", `${page}${chosen.size ? `?${chosen}` : ""}`);
  show();
}

function show(): void {
  const page = settings.single ? settings.page : location.pathname.split("/").pop() || settings.page;
  const parameters = new URLSearchParams(location.search);
  const context: Context = { store, source, actions: settings.actions, parameters, open: settings.single ? openOutside : open };
  for (const pane of panes) pane.close?.();
  const known = PAGES[page] ?? PAGES.status!;
  const places: Place[] = settings.single ? [{ ...PANES[page]!, area: "full" }] : known.panes;
  panes = [];
  fill(main, ...places.map((place) => {
    const pane = place.make(context);
    panes.push(pane);
    return h("section", { class: `pane ${place.area}`, "aria-label": place.title || "Summary" },
      place.title && !(settings.single) ? h("h2", { class: "title" }, place.title) : null, pane.element);
  }));
  document.title = `shoal: ${settings.single ? places[0]!.title : known.title}`;
  for (const each of document.querySelectorAll("nav a")) {
    each.getAttribute("data-page") === page ? each.setAttribute("aria-current", "page") : each.removeAttribute("aria-current");
  }
  draw();
}

// A pane alone in the frame of another page opens what it names in a window of its own.
function openOutside(page: string, parameters: { [name: string]: string } = {}): void {
  window.open(`${page}?${new URLSearchParams(parameters)}`, "_blank", "noopener");
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
  const links = Object.entries(PAGES).filter(([, page]) => !page.hidden).map(([name, page]) =>
    h("a", { href: name, "data-page": name, onclick: (event: MouseEvent) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      open(name);
    } }, page.title));
  const find = h("input", { type: "search", placeholder: "Search keys", "aria-label": "Search keys", onchange: () => open("search", { text: find.value }) });
  const dark = h("button", { type: "button", "aria-label": "Dark or light", onclick: () => {
    const now = document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    show();
  } }, "◐");
  return h("header", {}, h("a", { href: "#panes", class: "skip" }, "To the content"), h("b", {}, "shoal"), h("nav", { "aria-label": "Pages" }, ...links), find, dark, state);
}

theme();
const feed = new Feed(
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
document.documentElement.classList.toggle("single", settings.single);
window.addEventListener("popstate", show);
window.addEventListener("resize", soon);
setInterval(soon, 1000);
show();
feed.connect();

// For tests in a browser, and the curious.
Object.assign(window, { shoalDashboard: { store, feed, panes: () => panes } });
