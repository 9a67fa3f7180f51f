// Answers that are lists: failures, events, counters, prefixes, who asked, faults, logs.

import { fill, h } from "../dom";
import * as format from "../format";
import { asked, type MakePane, taskLink } from "../pane";
import type { Fault, Prefix } from "../store";
import { Table } from "../table";

interface Failure {
  prefix: string;
  key: string;
  exception: string;
  traceback: string;
  worker: string;
  count: number;
}

export const exceptions: MakePane = (context) =>
  asked<Failure[]>(context, "exceptions", () => ({}), 2, (answer, body) => {
    if (!answer.length) {
      fill(body, h("p", { class: "muted" }, "No task has failed."));
      return;
    }
    fill(body, ...answer.map((failure) =>
      h("details", { open: answer.length === 1 },
        h("summary", {}, h("b", {}, failure.exception.split("\n")[0]!), ` ${failure.prefix}, ${format.count(failure.count)} times`),
        h("p", {}, "First: ", taskLink(context, failure.key), failure.worker ? ` on ${failure.worker}` : ""),
        h("pre", {}, failure.traceback || failure.exception))));
  });

interface Events {
  topics: { [topic: string]: number };
  times: { [topic: string]: number[] };
  last: [number, string, string][];
}

export const events: MakePane = (context) => {
  let topic = "";
  const choice = h("select", { "aria-label": "Topic", onchange: () => { topic = choice.value; pane.again(); } }, h("option", { value: "" }, "all topics"));
  const pane = asked<Events>(context, "events", () => (topic ? { topic } : {}), 2, (answer, body) => {
    const known = new Set([...choice.options].map((option) => option.value));
    for (const name of Object.keys(answer.topics)) if (!known.has(name)) choice.append(h("option", { value: name }, name));
    fill(body,
      h("table", {}, h("caption", {}, "Topics"), h("tbody", {}, ...Object.entries(answer.topics).map(([name, count]) =>
        h("tr", {}, h("td", { class: "left" }, name), h("td", {}, format.count(count)), h("td", { class: "left" }, spark(answer.times[name] ?? [], context.store.now)))))),
      h("table", {}, h("caption", {}, "The last ones"), h("tbody", {}, ...answer.last.reverse().map(([when, name, text]) =>
        h("tr", {}, h("td", { class: "left" }, format.clock(when)), h("td", { class: "left" }, name), h("td", { class: "left wide" }, text))))));
  }, h("div", { class: "bar" }, choice));
  return pane;
};

// How many came in each tenth second of the last minutes, as small bars of text.
function spark(times: number[], now: number): string {
  const bins = new Array(30).fill(0), span = 300;
  for (const time of times) {
    const bin = Math.floor(((time - (now - span)) / span) * bins.length);
    if (bin >= 0 && bin < bins.length) bins[bin]++;
  }
  const most = Math.max(1, ...bins);
  return bins.map((count) => (count ? "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor((8 * count) / (most + 1)))] : " ")).join("");
}

export const counters: MakePane = (context) =>
  asked<{ [name: string]: number }>(context, "counters", () => ({}), 1, (answer, body) =>
    fill(body, h("table", {}, h("caption", {}, "What the scheduler counts"), h("tbody", {}, ...Object.entries(answer).map(([name, value]) =>
      h("tr", {}, h("td", { class: "left" }, name), h("td", {}, format.count(value))))))));

interface Kept {
  prefix: string;
  nbytes: number;
  stored: number;
  seconds: number;
  peak: number;
}

export const memoryByPrefix: MakePane = (context) => {
  const table = new Table<Kept>("Memory by prefix", [
    { title: "Prefix", left: true, value: (row) => row.prefix },
    { title: "Stored now", value: (row) => row.stored },
    { title: "Results so far", value: (row) => row.nbytes, show: (row) => format.bytes(row.nbytes) },
    { title: "Peak of a run", value: (row) => row.peak, show: (row) => (row.peak >= 0 ? format.bytes(row.peak) : "not known yet") },
    { title: "A run", value: (row) => row.seconds, show: (row) => format.duration(row.seconds) },
  ]);
  const pane = asked<Kept[]>(context, "memory", () => ({}), 2, (answer) => table.show(answer));
  pane.element.append(table.element);
  return pane;
};

const runTime = (prefix: Prefix) => Math.max(0, prefix.seconds) * ((prefix.states.memory ?? 0) + (prefix.states.released ?? 0));

export const timeByPrefix: MakePane = (context) => {
  const table = new Table<Prefix>("Time by prefix", [
    { title: "Prefix", left: true, value: (row) => row.name },
    { title: "A run", value: (row) => row.seconds, show: (row) => format.duration(row.seconds) || "has not run" },
    { title: "Tasks", value: (row) => row.total, show: (row) => format.count(row.total) },
    { title: "Runs of those known", value: runTime, show: (row) => format.duration(runTime(row)) },
    { title: "Deaths", value: (row) => row.suspicious },
  ]);
  return {
    element: h("div", { class: "fill scroll" }, table.element),
    update: () => table.show(context.store.prefixes.filter((prefix) => prefix.total > 0 || prefix.seconds >= 0)),
  };
};

interface Asked {
  id: string;
  start: number;
  stop: number;
  states: { [state: string]: number };
  groups: string[];
  code: string[][];
}

export const code: MakePane = (context) =>
  asked<Asked[]>(context, "code", () => ({}), 3, (answer, body) => {
    if (!answer.length) {
      fill(body, h("p", { class: "muted" }, "Nothing was asked yet."));
      return;
    }
    fill(body, ...answer.map((each, i) =>
      h("details", { open: i === 0 },
        h("summary", {}, `${format.clock(each.start)} — ${each.stop < 0 ? "runs" : `took ${format.duration(each.stop - each.start)}`}, `,
          Object.entries(each.states).map(([state, count]) => `${state} ${format.count(count)}`).join(", ")),
        h("p", { class: "muted" }, each.groups.join(", ")),
        each.code.length
          ? h("pre", {}, each.code.map((frames) => frames.join("\n")).join("\n\n"))
          : h("p", { class: "muted" }, "The lines of code are sent along where the client's configuration distributed.diagnostics.computations.nframes is more than 0."))));
  });

function severity(fault: Fault): string {
  if (fault.action === "add-worker") return "good";
  if (fault.action === "remove-worker") return fault.text.includes("expected: True") ? "mute" : "bad";
  return /leases-expired|quarantine|closing-worker/.test(fault.action) ? "bad" : "warn";
}

export const faults: MakePane = (context) => {
  const table = new Table<Fault>("What happened to workers", [
    { title: "Time", left: true, value: (row) => row.time, show: (row) => format.clock(row.time) },
    { title: "What", left: true, value: (row) => row.action, show: (row) => h("span", {}, h("i", { class: `dot is-${severity(row)}` }), row.action) },
    { title: "Worker", left: true, value: (row) => row.worker },
    { title: "How", left: true, value: (row) => row.text },
  ]);
  let shown = -1;
  return {
    element: h("div", { class: "fill scroll" }, table.element),
    update: () => {
      if (context.store.faults.length === shown) return;
      shown = context.store.faults.length;
      table.show([...context.store.faults].reverse());
    },
  };
};

export const logs: MakePane = (context) => {
  const worker = context.parameters.get("address") ?? "";
  return asked<[string, string][]>(context, "logs", () => (worker ? { worker } : {}), 5, (answer, body) =>
    fill(body, answer.length
      ? h("pre", { class: "log" }, answer.map(([level, text]) => `${level.padEnd(8)} ${text}`).join("\n"))
      : h("p", { class: "muted" }, "Nothing was logged.")));
};

export const stacks: MakePane = (context) => {
  const key = context.parameters.get("key") ?? "";
  return asked<{ [worker: string]: { [key: string]: string[] } }>(context, "call_stacks", () => (key ? { key } : {}), 2, (answer, body) => {
    const found = Object.entries(answer).flatMap(([worker, stacks]) => Object.entries(stacks).map(([task, lines]) => ({ worker, task, lines })));
    fill(body, ...(found.length
      ? found.map(({ worker, task, lines }) => h("section", {}, h("h3", {}, taskLink(context, task), ` on ${worker}`), h("pre", {}, lines.join("\n"))))
      : [h("p", { class: "muted" }, "Nothing runs at this moment.")]));
  });
};
