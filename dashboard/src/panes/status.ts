// What a page of the status is made of: memory, work, processor and transfers of workers, the task
// stream, and how far the work is.

import { Bars } from "../bars";
import { AROUND, color, STATE_COLORS } from "../colors";
import { css, fill, fit, h } from "../dom";
import * as format from "../format";
import type { Context, MakePane, Pane } from "../pane";
import type { Worker } from "../store";
import { Timeline } from "../timeline";

const number = (worker: Worker, name: string) => Number(worker[name] ?? 0);

function ordered(context: Context): Worker[] {
  const natural = new Intl.Collator(undefined, { numeric: true });
  return [...context.store.workers.values()].sort((a, b) => natural.compare(a.name, b.name));
}

function bars(
  title: string,
  parts: (worker: Worker) => { value: number; color: string }[],
  text: (worker: Worker) => string,
  most: (workers: Worker[]) => number,
  label: (value: number) => string,
): MakePane {
  return (context) => {
    const view = new Bars(title);
    return {
      element: view.element,
      update: () => {
        const workers = ordered(context);
        view.show(
          workers.map((worker) => ({
            label: worker.name,
            parts: parts(worker),
            text: text(worker),
            pick: () => context.open("worker", { address: worker.address }),
          })),
          most(workers),
          label,
        );
      },
    };
  };
}

const memoryParts = (managed: number, memory: number, old: number, spilled: number, full: boolean) => {
  const unmanaged = Math.max(0, memory - managed);
  const long = Math.min(unmanaged, old);
  const strong = full ? css("--warn") : css("--accent");
  return [
    { value: managed, color: strong },
    { value: long, color: css("--soft") },
    { value: unmanaged - long, color: css("--softer") },
    { value: spilled, color: css("--spilled") },
  ];
};

export const workersMemory = bars(
  "Bytes stored per worker: managed, unmanaged, recently unmanaged, spilled",
  (worker) =>
    memoryParts(
      number(worker, "managed"), number(worker, "memory"), number(worker, "unmanaged_old"), number(worker, "spilled"),
      worker.status !== "running" || (worker.limit > 0 && number(worker, "memory") > 0.8 * worker.limit),
    ),
  (worker) =>
    `${format.bytes(number(worker, "memory"))}${worker.limit ? ` of ${format.bytes(worker.limit)}` : ""}` +
    (number(worker, "spilled") ? `, spilled ${format.bytes(number(worker, "spilled"))}` : "") +
    (worker.status === "running" ? "" : ` — ${worker.status}`),
  (workers) => Math.max(0, ...workers.map((worker) => worker.limit)),
  format.bytes,
);

export const clusterMemory: MakePane = (context) => {
  const view = new Bars("Bytes stored on the cluster");
  return {
    element: view.element,
    update: () => {
      const { totals } = context.store;
      let old = 0;
      for (const worker of context.store.workers.values()) old += number(worker, "unmanaged_old");
      const memory = totals.memory ?? 0, managed = totals.managed ?? 0, spilled = totals.spilled ?? 0, limit = totals.limit ?? 0;
      view.show(
        [{
          label: "all workers",
          parts: memoryParts(managed, memory, old, spilled, limit > 0 && memory > 0.8 * limit),
          text: `${format.bytes(memory)}${limit ? ` of ${format.bytes(limit)}` : ""}; results ${format.bytes(managed)}, spilled ${format.bytes(spilled)}`,
        }],
        limit,
        format.bytes,
      );
    },
  };
};

export const nprocessing = bars(
  "Tasks assigned per worker",
  (worker) => [
    { value: number(worker, "executing"), color: css("--accent") },
    { value: Math.max(0, number(worker, "processing") - number(worker, "executing")), color: css("--soft") },
  ],
  (worker) => `${format.count(number(worker, "processing"))}, ${number(worker, "executing")} run`,
  () => 0,
  format.count,
);

export const occupancy = bars(
  "Seconds of work assigned per worker",
  (worker) => [{ value: number(worker, "occupancy"), color: css("--accent") }],
  (worker) => format.duration(number(worker, "occupancy")),
  () => 0,
  format.duration,
);

export const cpu = bars(
  "Processor per worker",
  (worker) => [{ value: number(worker, "cpu"), color: css("--accent") }],
  (worker) => `${number(worker, "cpu").toFixed(0)} %`,
  (workers) => Math.max(100, ...workers.map((worker) => 100 * worker.threads)),
  (value) => `${value.toFixed(0)} %`,
);

export const transfers = bars(
  "Transfers under way per worker",
  (worker) => [
    { value: number(worker, "incoming"), color: css("--accent") },
    { value: number(worker, "outgoing"), color: css("--warn") },
  ],
  (worker) =>
    `${number(worker, "incoming")} in, ${number(worker, "outgoing")} out, ${format.bytes(number(worker, "outgoing_bytes"))} sent so far`,
  () => 4,
  format.count,
);

// Several panes in one place, one of them shown.
export function tabs(choices: [string, MakePane][]): MakePane {
  return (context) => {
    const body = h("div", { class: "fill" }), bar = h("div", { class: "tabs", role: "tablist" });
    let pane: Pane | null = null;
    const choose = (i: number) => {
      pane?.close?.();
      pane = choices[i]![1](context);
      fill(body, pane.element);
      [...bar.children].forEach((each, j) => each.setAttribute("aria-selected", String(i === j)));
      pane.update();
    };
    choices.forEach(([title], i) =>
      bar.append(h("button", { type: "button", role: "tab", onclick: () => choose(i) }, title)));
    const element = h("div", { class: "fill column" }, bar, body);
    queueMicrotask(() => choose(0));
    return { element, update: () => pane?.update(), close: () => pane?.close?.() };
  };
}

export const taskStream = (context: Context): Pane & { view: Timeline } => {
  const view = new Timeline(context.store, (key) => context.open("task", { key }));
  const filter = h("input", {
    type: "search", placeholder: "Filter by prefix or key", "aria-label": "Filter the task stream",
    oninput: () => { view.filter = filter.value; view.draw(); },
  });
  const chosen = (text: string) => {
    filter.value = filter.value === text ? "" : text;
    view.filter = filter.value;
    view.draw();
  };
  const around = h("input", { type: "checkbox", onchange: () => { due = 0; } });
  const legend = h("span", { class: "legend prefixes" });
  const bar = h("div", { class: "bar" },
    filter,
    h("button", { type: "button", onclick: () => view.lookAtAll() }, "All"),
    h("button", { type: "button", onclick: () => view.present() }, "Now"),
    context.recorded ? null : h("label", { title: "Data that came for tasks, and unpickling: workers take notes of it from then on" }, around, " Transfers"),
    legend);
  let due = 0, since = 0, named = "";
  const ask = async () => {
    due = Date.now() + 2000;
    try {
      const { rows } = (await context.source.ask("around_tasks", { since: since || context.store.now - 60 })) as { rows: [string, string, number, number, number, string][] };
      context.store.addAround(rows);
      since = Math.max(since, ...rows.map((row) => row[3]));
    } catch {
      // Asked again: the connection may be lost.
    }
  };
  const explain = () => {
    const known = context.store.prefixes.filter((prefix) => prefix.total > 0 || prefix.seconds >= 0).sort((a, b) => b.total - a.total).slice(0, 9);
    const names = [...known.map((prefix) => prefix.name), ...(around.checked ? Object.keys(AROUND) : [])];
    if (names.join() === named) return;
    named = names.join();
    fill(legend, ...names.map((name) => {
      const dot = h("i", {});
      dot.style.background = color(name);
      return h("button", { type: "button", class: "chip", title: `Only ${name}`, onclick: () => chosen(name) }, dot, name);
    }));
  };
  // A report shows all of its block first.
  let first = context.recorded && !context.store.moves;
  return {
    view,
    element: h("div", { class: "fill column" }, bar, view.element),
    update: () => {
      if (first) view.lookAtAll();
      first = false;
      explain();
      if (around.checked && Date.now() >= due) void ask();
      view.draw();
    },
  };
};

const SHOWN = ["released", "memory", "erred", "processing", "queued", "waiting", "no-worker"];

export const progress: MakePane = (context) => {
  const element = h("div", { class: "fill scroll progress" });
  const rows = new Map<string, { row: HTMLElement; parts: HTMLElement[]; text: HTMLElement }>();
  const row = (name: string) => {
    let found = rows.get(name);
    if (!found) {
      const parts = SHOWN.map((state) => {
        const part = h("span", { title: state });
        // Results that were there and are not needed any more: paler than those that are there.
        part.style.background = state === "memory" || state === "released" ? color(name) : STATE_COLORS[state]!;
        if (state === "released") part.style.opacity = "0.4";
        return part;
      });
      const text = h("span", { class: "numbers" });
      found = {
        row: h("div", { class: "row" }, h("span", { class: "name", title: name }, name), h("span", { class: "track" }, ...parts), text),
        parts, text,
      };
      rows.set(name, found);
    }
    return found;
  };
  return {
    element,
    update: () => {
      const busy = context.store.prefixes.filter((prefix) => prefix.total > 0);
      busy.sort((a, b) => b.total - a.total);
      const shown = busy.slice(0, 60);
      for (const prefix of shown) {
        const { parts, text } = row(prefix.name);
        SHOWN.forEach((state, i) => { parts[i]!.style.flexGrow = String(prefix.states[state] ?? 0); });
        const done = prefix.states.memory ?? 0, erred = prefix.states.erred ?? 0;
        fill(text, `${format.count(done)} of ${format.count(prefix.total)} stored` +
          (prefix.states.released ? `, ${format.count(prefix.states.released)} released` : "") +
          (erred ? `, ${format.count(erred)} failed` : "") +
          (prefix.states["no-worker"] ? `, ${format.count(prefix.states["no-worker"]!)} without a worker` : "") +
          (prefix.seconds >= 0 ? `, ${format.duration(prefix.seconds)} a run` : ""));
      }
      const wanted = shown.map((prefix) => rows.get(prefix.name)!.row);
      if (wanted.length !== element.children.length || wanted.some((each, i) => element.children[i] !== each)) {
        fill(element, ...wanted);
        if (!wanted.length) fill(element, h("p", { class: "muted" }, "No tasks are known."));
      }
    },
  };
};

// The last two minutes of a number, as a line without axes.
function spark(canvas: HTMLCanvasElement, times: number[], values: number[], tint: string): void {
  const { context: pen, width, height } = fit(canvas);
  pen.clearRect(0, 0, width, height);
  const end = times[times.length - 1] ?? 0, begin = end - 120;
  let first = times.length - 1;
  while (first > 0 && times[first - 1]! >= begin) first--;
  const most = Math.max(1e-9, ...values.slice(Math.max(0, first)).filter((value) => !Number.isNaN(value)));
  pen.beginPath();
  let begun = false, last = 0;
  for (let i = Math.max(0, first); i < times.length; i++) {
    if (Number.isNaN(values[i]!)) continue;
    const x = ((times[i]! - begin) / 120) * width, y = height - 2 - (values[i]! / most) * (height - 4);
    if (begun) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    if (!begun) last = x;
    begun = true;
  }
  if (!begun) return;
  pen.strokeStyle = tint;
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.lineTo(width, height);
  pen.lineTo(last, height);
  pen.globalAlpha = 0.12;
  pen.fillStyle = tint;
  pen.fill();
  pen.globalAlpha = 1;
}

export const summary: MakePane = (context) => {
  const card = (name: string, column = "") => {
    const value = h("b", {}), canvas = column ? h("canvas", { "aria-hidden": "true" }) : null;
    return { name, column, value, canvas, element: h("div", { class: "card" }, h("div", { class: "number" }, value, h("span", {}, name)), canvas) };
  };
  const cards = {
    workers: card("Workers"), threads: card("Threads"), clients: card("Clients"), tasks: card("Tasks"),
    rate: card("Tasks a second", "rate"), processor: card("Processor", "cpu"), memory: card("Memory", "memory"), up: card("Up for"),
  };
  const put = (each: ReturnType<typeof card>, text: string) => { if (each.value.textContent !== text) each.value.textContent = text; };
  return {
    element: h("div", { class: "summary" }, ...Object.values(cards).map((each) => each.element)),
    update: () => {
      const { store } = context, { totals, rate, series } = store;
      put(cards.workers, format.count(totals.workers ?? 0));
      put(cards.threads, format.count(totals.threads ?? 0));
      put(cards.clients, format.count(totals.clients ?? 0));
      put(cards.tasks, format.count(totals.tasks ?? 0));
      put(cards.rate, format.rate(rate));
      put(cards.processor, `${(totals.cpu ?? 0).toFixed(0)} %`);
      put(cards.memory, format.bytes(totals.memory ?? 0));
      cards.memory.element.title = totals.limit ? `of ${format.bytes(totals.limit)}` : "";
      put(cards.up, format.duration(store.now - store.started));
      for (const { canvas, column } of Object.values(cards)) {
        if (canvas && canvas.clientWidth) spark(canvas, series.time, series.columns[column] ?? [], css("--accent"));
      }
    },
  };
};
