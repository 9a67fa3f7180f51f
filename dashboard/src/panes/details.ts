// One task, one worker, what a search finds, and why the cluster waits.

import { change } from "../changes";
import { STATE_COLORS } from "../colors";
import { fill, h } from "../dom";
import * as format from "../format";
import { asked, link, type MakePane, type Pane, taskLink, workerLink } from "../pane";

const facts = (rows: [string, Node | string | number | null][]) =>
  h("table", { class: "facts" }, h("tbody", {}, ...rows.filter(([, value]) => value !== null && value !== "").map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row", class: "left" }, name), h("td", { class: "left" }, value)))));

const list = (nodes: (Node | string)[], all: number) => {
  const box = h("span", { class: "list" });
  nodes.forEach((node) => box.append(node, " "));
  if (all > nodes.length) box.append(`and ${format.count(all - nodes.length)} more`);
  return nodes.length ? box : null;
};

export const task: MakePane = (context) => {
  const key = context.parameters.get("key") ?? "";
  return asked<any>(context, "task", () => ({ key }), 1, (told, body) => {
    fill(body,
      h("h2", {}, told.key),
      h("p", { class: "why" }, told.why),
      told.state ? facts([
        ["State", state(told.state)],
        ["Prefix", link(context, told.prefix, "search", { prefix: told.prefix })],
        ["Group", told.group],
        ["Worker", told.worker && workerLink(context, told.worker, told.worker)],
        ["Held by", list(told.holders.map((address: string) => workerLink(context, address, address)), told.holders.length)],
        ["Result", told.nbytes >= 0 ? `${told.type} ${format.bytes(told.nbytes)}` : ""],
        ["Needs", list(told.dependencies.map((dep: string) => taskLink(context, dep)), told.dependencies.length)],
        ["Needed by", list(told.dependents.map((dep: string) => taskLink(context, dep)), told.dependents.length)],
        ["Clients", told.clients.join(", ")],
        ["Allowed on", told.workers_allowed.join(", ")],
        ["Resources", Object.entries(told.resources).map(([name, n]) => `${name}: ${n}`).join(", ")],
        ["Priority", told.priority],
        ["Error", told.error],
      ]) : null,
      told.state === "processing" ? h("p", {}, link(context, "What it executes", "call-stacks", { key: told.key })) : null,
      told.state && told.state !== "memory" ? change(context, "Cancel this task", "cancel", () => ({ key: told.key })) : null,
      told.traceback ? h("pre", {}, told.traceback) : null,
      told.story?.length ? h("table", {}, h("caption", {}, "Story"), h("tbody", {}, ...told.story.map(([start, finish, stimulus, when]: [string, string, string, number]) =>
        h("tr", {}, h("td", { class: "left" }, format.clock(when)), h("td", { class: "left" }, `${start} → ${finish}`), h("td", { class: "left" }, stimulus))))) : null);
  });
};

function state(name: string): Node {
  const dot = h("i", { class: "dot" });
  dot.style.background = STATE_COLORS[name] ?? "#888";
  return h("span", {}, dot, name);
}

export const worker: MakePane = (context) => {
  const address = context.parameters.get("address") ?? "";
  return asked<any>(context, "worker", () => ({ address }), 1, (told, body) => {
    if (told.gone) {
      fill(body, h("h2", {}, address), h("p", {}, "No such worker is connected. ", link(context, "What happened to workers", "faults", {})));
      return;
    }
    fill(body,
      h("h2", {}, told.name),
      h("p", { class: "why" }, told.why),
      facts([
        ["Address", told.address], ["Status", told.status], ["Host", told.host], ["Process", told.pid], ["Threads", told.nthreads],
        ["Memory", `${format.bytes(told.metrics.memory ?? 0)}${told.memory_limit > 0 ? ` of ${format.bytes(told.memory_limit)}` : ""}`],
        ["Results", `${format.bytes(told.metrics.managed_bytes ?? 0)}, spilled ${format.bytes(told.metrics.spilled_bytes ?? 0)}`],
        ["Folder", told.local_directory], ["Nanny", told.nanny === "None" ? "none" : told.nanny],
      ]),
      h("p", {}, link(context, "Log", "logs", { address: told.address }), " ", link(context, "What it executes", "call-stacks", {})),
      change(context, "Retire this worker", "retire", () => ({ worker: told.address })),
      change(context, "Restart this worker", "restart_worker", () => ({ worker: told.address })),
      h("table", {}, h("caption", {}, `Assigned: ${format.count(told.processing_count)}`), h("tbody", {}, ...told.processing.map(([key, seconds]: [string, number]) =>
        h("tr", {}, h("td", { class: "left" }, taskLink(context, key)), h("td", {}, seconds >= 0 ? `runs for ${format.duration(seconds)}` : ""))))),
      h("table", {}, h("caption", {}, `Held: ${format.count(told.held_count)}`), h("tbody", {}, ...told.held.map(([key, nbytes]: [string, number]) =>
        h("tr", {}, h("td", { class: "left" }, taskLink(context, key)), h("td", {}, format.bytes(nbytes)))))));
  });
};

export const search: MakePane = (context) => {
  const field = (name: string, title: string) =>
    h("input", { type: "search", placeholder: title, "aria-label": title, value: context.parameters.get(name) ?? "", onchange: () => pane.again() });
  const text = field("text", "Part of a key"), prefix = field("prefix", "Prefix"), worker = field("worker", "Worker");
  const chosen = context.parameters.get("state") ?? "";
  const choice = h("select", { "aria-label": "State", onchange: () => pane.again() },
    ...["", ...Object.keys(STATE_COLORS)].map((name) => h("option", { value: name, selected: name === chosen }, name || "any state")));
  const pane: Pane & { again(): void } = asked<any>(
    context, "search",
    () => ({ text: text.value, prefix: prefix.value, worker: worker.value, state: choice.value }),
    0,
    (answer, body) => fill(body,
      h("p", { class: "muted" }, `${answer.tasks.length} found among ${format.count(answer.looked_at)} of ${format.count(answer.of)} tasks`),
      h("table", {}, h("tbody", {}, ...answer.tasks.map(([key, name, address, nbytes]: [string, string, string, number]) =>
        h("tr", {}, h("td", { class: "left" }, taskLink(context, key)), h("td", { class: "left" }, state(name)),
          h("td", { class: "left" }, address), h("td", {}, nbytes >= 0 ? format.bytes(nbytes) : "")))))),
    h("div", { class: "bar" }, text, prefix, worker, choice, h("button", { type: "button", onclick: () => pane.again() }, "Search")),
  );
  return pane;
};

export const why: MakePane = (context) =>
  asked<any>(context, "why", () => ({}), 2, (answer, body) => {
    const workers = Object.entries(answer.workers as { [status: string]: number }).map(([status, count]) => `${count} ${status}`).join(", ");
    fill(body,
      h("p", { class: "why" }, `Workers: ${workers || "none"}; ${answer.idle} of them have a thread that has nothing to do, of ${answer.threads} threads.`),
      ...(answer.states.length ? answer.states.map(([name, count, examples]: [string, number, [string, string][]]) =>
        h("section", {},
          h("h3", {}, state(name), ` ${format.count(count)} tasks `, link(context, "all", "search", { state: name })),
          h("ul", {}, ...examples.map(([key, text]) => h("li", {}, taskLink(context, key), h("p", {}, text))))))
        : [h("p", {}, "No task waits for anything.")]));
  });
