// Tables about workers.

import { change } from "../changes";
import { fill, h, meter } from "../dom";
import * as format from "../format";
import { asked, type MakePane, type Pane, workerLink } from "../pane";
import type { Worker } from "../store";
import { type Column, Table } from "../table";

const number = (worker: Worker, name: string) => Number(worker[name] ?? 0);

type Measured = { [address: string]: { [name: string]: number } };

export const workers: MakePane = (context) => {
  let measured: Measured = {};
  const of = (worker: Worker, name: string) => measured[worker.address]?.[name] ?? 0;
  const bytes = (title: string, value: (worker: Worker) => number, each = ""): Column<Worker> => ({
    title, value, show: (worker) => `${format.bytes(value(worker))}${each}`,
  });
  const columns: Column<Worker>[] = [
    { title: "Name", left: true, value: (w) => w.name, show: (w) => workerLink(context, w.address, w.name) },
    { title: "Address", left: true, value: (w) => w.address },
    { title: "Status", left: true, value: (w) => w.status, show: (w) => h("span", {}, h("i", { class: `dot is-${w.status === "running" ? "good" : "warn"}` }), w.status) },
    { title: "Threads", value: (w) => w.threads },
    { title: "CPU", value: (w) => number(w, "cpu"), show: (w) => meter(number(w, "cpu") / (100 * Math.max(1, w.threads)), `${number(w, "cpu").toFixed(0)} %`) },
    bytes("Memory", (w) => number(w, "memory")),
    { title: "Limit", value: (w) => w.limit, show: (w) => (w.limit ? format.bytes(w.limit) : "none") },
    { title: "%", value: (w) => (w.limit ? number(w, "memory") / w.limit : 0), show: (w) => (w.limit ? meter(number(w, "memory") / w.limit, format.percent(number(w, "memory"), w.limit)) : "") },
    bytes("Managed", (w) => number(w, "managed")),
    bytes("Unmanaged old", (w) => number(w, "unmanaged_old")),
    bytes("Unmanaged recent", (w) => Math.max(0, number(w, "memory") - number(w, "managed") - number(w, "unmanaged_old"))),
    bytes("Spilled", (w) => number(w, "spilled")),
    { title: "Processing", value: (w) => number(w, "processing"), show: (w) => format.count(number(w, "processing")) },
    { title: "Stored", value: (w) => number(w, "stored"), show: (w) => format.count(number(w, "stored")) },
    { title: "Files", value: (w) => of(w, "num_fds"), show: (w) => format.count(of(w, "num_fds")) },
    bytes("Net read", (w) => of(w, "host_net_io.read_bps"), "/s"),
    bytes("Net write", (w) => of(w, "host_net_io.write_bps"), "/s"),
    bytes("Disk read", (w) => of(w, "host_disk_io.read_bps"), "/s"),
    bytes("Disk write", (w) => of(w, "host_disk_io.write_bps"), "/s"),
    { title: "Seen", value: (w) => number(w, "seen"), show: (w) => `${number(w, "seen")} s ago` },
  ];
  const sum = (rows: Worker[], value: (worker: Worker) => number) => rows.reduce((total, row) => total + value(row), 0);
  const table = new Table<Worker>("Workers", columns, 300, (rows) =>
    columns.map((column, i) => {
      if (i === 0) return `${rows.length} in all`;
      if (column.left || column.title === "%" || column.title === "Seen") return "";
      const total = sum(rows, (row) => Number(column.value(row)));
      if (column.title === "CPU") return `${total.toFixed(0)} %`;
      if (["Threads", "Processing", "Stored", "Files"].includes(column.title)) return format.count(total);
      return format.bytes(total) + (/Net|Disk/.test(column.title) ? "/s" : "");
    }));
  const monitors = asked<Measured>(context, "monitors", () => (context.store.workers.size <= 300 ? {} : null), 3, (answer) => { measured = answer; });
  const wanted = h("input", { type: "number", min: 0, value: context.store.workers.size, "aria-label": "Number of workers" });
  const scale = change(context, "Scale to so many workers", "scale", () => ({ n: Number(wanted.value) }));
  const bar = scale && h("div", { class: "bar" }, wanted, scale, change(context, "Restart all workers", "restart", () => ({})));
  return {
    element: h("div", { class: "fill scroll" }, bar, table.element),
    update: () => {
      monitors.update();
      const natural = new Intl.Collator(undefined, { numeric: true });
      table.show([...context.store.workers.values()].sort((a, b) => natural.compare(a.name, b.name)));
    },
    close: () => monitors.close!(),
  };
};

export const bandwidth: MakePane = (context) => {
  const table = new Table<Worker>("Bandwidth that each worker saw", [
    { title: "Worker", left: true, value: (w) => w.name, show: (w) => workerLink(context, w.address, w.name) },
    { title: "Bytes a second", value: (w) => number(w, "bandwidth"), show: (w) => `${format.bytes(number(w, "bandwidth"))}/s` },
    { title: "Sent so far", value: (w) => number(w, "outgoing_bytes"), show: (w) => format.bytes(number(w, "outgoing_bytes")) },
  ]);
  return { element: h("div", { class: "fill scroll" }, table.element), update: () => table.show([...context.store.workers.values()]) };
};

// Who could take more, and who has more than threads: what would be stolen, and what is queued.
export const balance: MakePane = (context) => {
  const table = new Table<Worker>("How even the work is", [
    { title: "Worker", left: true, value: (w) => w.name, show: (w) => workerLink(context, w.address, w.name) },
    { title: "Threads", value: (w) => w.threads },
    { title: "Assigned", value: (w) => number(w, "processing") },
    { title: "Running", value: (w) => number(w, "executing") },
    { title: "Seconds of work", value: (w) => number(w, "occupancy"), show: (w) => format.duration(number(w, "occupancy")) },
    { title: "Is", left: true, value: state },
  ]);
  return { element: h("div", { class: "fill scroll" }, table.element), update: () => table.show([...context.store.workers.values()]) };
};

function state(worker: Worker): string {
  if (worker.status !== "running") return worker.status;
  const assigned = number(worker, "processing");
  return assigned < worker.threads ? "idle" : assigned > worker.threads ? "saturated" : "busy";
}

type Speeds = { memory: { [size: string]: number }; disk: { [size: string]: number } };

export const hardware: MakePane = (context) => {
  const pane: Pane & { again(): void } = asked<Speeds>(
    context, "hardware", () => ({}), 0,
    (answer, body) => {
      const rows = Object.entries(answer).flatMap(([what, speeds]) =>
        Object.entries(speeds).map(([size, speed]) => h("tr", {}, h("td", { class: "left" }, what), h("td", {}, size), h("td", {}, `${format.bytes(speed)}/s`))));
      fill(body, h("table", {}, h("caption", {}, "Mean of all workers, measured for a moment just now"), h("tbody", {}, ...rows)));
    },
    h("div", { class: "bar" }, h("button", { type: "button", onclick: () => pane.again() }, "Measure again")),
  );
  return pane;
};

// What workers tell as their metric "gpu", where a package of GPUs has registered it.
export const gpu: MakePane = (context) =>
  asked<{ [address: string]: { [name: string]: unknown } }>(context, "gpus", () => ({}), 2, (answer, body) => {
    const told = Object.entries(answer);
    if (!told.length) {
      fill(body, h("p", { class: "muted" },
        `None of the ${context.store.workers.size} workers tells of a GPU: none has a metric named "gpu".`));
      return;
    }
    const names = [...new Set(told.flatMap(([, numbers]) => Object.keys(numbers)))];
    fill(body, h("table", {}, h("caption", {}, "GPUs"),
      h("thead", {}, h("tr", {}, h("th", { class: "left" }, "Worker"), ...names.map((name) => h("th", {}, name)))),
      h("tbody", {}, ...told.map(([address, numbers]) =>
        h("tr", {}, h("td", { class: "left" }, address), ...names.map((name) => h("td", {}, shown(name, numbers[name]))))))));
  });

function shown(name: string, value: unknown): string {
  return typeof value === "number" && name.includes("memory") ? format.bytes(value) : String(value ?? "");
}
