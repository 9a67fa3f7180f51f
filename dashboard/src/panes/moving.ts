// Data that moves: shuffles, and what workers spend time on beside the tasks themselves.

import { Chart } from "../charts";
import { AROUND, STATE_COLORS } from "../colors";
import { css, fill, h } from "../dom";
import * as format from "../format";
import { asked, type MakePane, workerLink } from "../pane";
import { Table } from "../table";

interface Mover {
  address: string;
  name: string;
  pid: number;
  memory: number;
  spilled: number;
  lag: number;
  counters: { [name: string]: number };
}

interface Group {
  name: string;
  size: number;
  nbytes: number;
  counts: { [state: string]: number };
}

interface Moving {
  workers: Mover[];
  groups: Group[];
}

const KEPT = 600;

export const shuffle: MakePane = (context) => {
  const of = (row: Mover, name: string) => row.counters[name] ?? 0;
  const speed = (bytes: number, seconds: number) => (seconds > 0 ? `${format.bytes(bytes / seconds)}/s` : "");
  const workers = new Table<Mover>("Workers", [
    { title: "Worker", left: true, value: (row) => row.name, show: (row) => workerLink(context, row.address, row.name) },
    { title: "Parts written", value: (row) => of(row, "written"), show: (row) => format.count(of(row, "written")) },
    { title: "Bytes", value: (row) => of(row, "written_bytes"), show: (row) => format.bytes(of(row, "written_bytes")) },
    { title: "Speed", value: (row) => of(row, "written_bytes") / of(row, "written_seconds"), show: (row) => speed(of(row, "written_bytes"), of(row, "written_seconds")) },
    { title: "Outputs", value: (row) => of(row, "read"), show: (row) => format.count(of(row, "read")) },
    { title: "Bytes read", value: (row) => of(row, "read_bytes"), show: (row) => format.bytes(of(row, "read_bytes")) },
    { title: "Speed read", value: (row) => of(row, "read_bytes") / of(row, "read_seconds"), show: (row) => speed(of(row, "read_bytes"), of(row, "read_seconds")) },
    { title: "Own", value: (row) => of(row, "own"), show: (row) => format.count(of(row, "own")) },
    { title: "Shared memory", value: (row) => of(row, "shared"), show: (row) => format.count(of(row, "shared")) },
    { title: "Files", value: (row) => of(row, "files"), show: (row) => format.count(of(row, "files")) },
    { title: "By network", value: (row) => of(row, "sent"), show: (row) => format.count(of(row, "sent")) },
    { title: "Tried again", value: (row) => of(row, "tries_again"), show: (row) => format.count(of(row, "tries_again")) },
    { title: "Memory", value: (row) => row.memory, show: (row) => format.bytes(row.memory) },
    { title: "Spilled", value: (row) => row.spilled, show: (row) => format.bytes(row.spilled) },
    { title: "Loop", value: (row) => row.lag, show: (row) => format.duration(row.lag) },
  ]);
  const drawn = h("div", { class: "fixed" }), chart = new Chart(drawn, "bytes a second");
  const groups = h("div", { class: "progress" });
  const times: number[] = [], written: number[] = [], read: number[] = [];
  let before: [number, number, number] | null = null;
  const pane = asked<Moving>(context, "shuffles", () => ({}), 1, (answer, body) => {
    // Workers of one process count together.
    const own = [...new Map(answer.workers.map((worker) => [worker.pid, worker])).values()];
    const sum = (name: string) => own.reduce((total, worker) => total + of(worker, name), 0);
    const now = Date.now() / 1000, totals: [number, number, number] = [now, sum("written_bytes"), sum("read_bytes")];
    if (before) {
      times.push(now);
      written.push(Math.max(0, (totals[1] - before[1]) / (now - before[0])));
      read.push(Math.max(0, (totals[2] - before[2]) / (now - before[0])));
      if (times.length > KEPT) for (const column of [times, written, read]) column.shift();
    }
    before = totals;
    workers.show(answer.workers);
    fill(groups, ...answer.groups.map((group) => {
      const parts = Object.entries(group.counts).map(([state, count]) => {
        const part = h("span", { title: state });
        part.style.background = STATE_COLORS[state] ?? "#888";
        part.style.flexGrow = String(count);
        return part;
      });
      const done = (group.counts.memory ?? 0) + (group.counts.released ?? 0);
      return h("div", { class: "row" }, h("span", { class: "name", title: group.name }, group.name), h("span", { class: "track" }, ...parts),
        h("span", { class: "numbers" }, `${format.count(done)} of ${format.count(group.size)} ran, ${format.bytes(group.nbytes)}`));
    }));
    if (!answer.groups.length) fill(groups, h("p", { class: "muted" }, "No task moves data between all partitions at this moment."));
    if (!body.contains(drawn)) fill(body, drawn, groups, workers.element);
    chart.show(times, [
      { label: "written", color: css("--accent"), values: written }, { label: "read", color: css("--good"), values: read },
    ]);
  });
  return { ...pane, close: () => { pane.close!(); chart.close(); } };
};

interface Spent {
  prefix: string;
  action: string;
  count: number;
  seconds: number;
  nbytes: number;
}

const ACTION_COLORS: { [action: string]: string } = { compute: "#4c9f50", ...AROUND };

export const fine: MakePane = (context) => {
  const choice = h("select", { "aria-label": "Activity", onchange: () => pane.again() }, ...["all activities", "compute", "transfer", "deserialize"].map((name) => h("option", {}, name)));
  const table = new Table<Spent>("In the last 5,000 runs", [
    { title: "Prefix", left: true, value: (row) => row.prefix },
    { title: "Activity", left: true, value: (row) => row.action },
    { title: "Time", value: (row) => row.seconds, show: (row) => format.duration(row.seconds) },
    { title: "Times", value: (row) => row.count, show: (row) => format.count(row.count) },
    { title: "Mean", value: (row) => row.seconds / row.count, show: (row) => format.duration(row.seconds / row.count) },
    { title: "Data", value: (row) => row.nbytes, show: (row) => (row.nbytes ? format.bytes(row.nbytes) : "") },
  ]);
  const pane = asked<Spent[]>(context, "fine", () => ({}), 2, (answer, body) => {
    const wanted = choice.selectedIndex ? choice.value : "", shown = answer.filter((row) => !wanted || row.action === wanted);
    if (!answer.length) {
      fill(body, h("p", { class: "muted" }, "Workers take notes from now on; no task has run since."));
      return;
    }
    const prefixes = new Map<string, Spent[]>();
    for (const row of shown) prefixes.set(row.prefix, [...(prefixes.get(row.prefix) ?? []), row]);
    const most = Math.max(...[...prefixes.values()].map((rows) => rows.reduce((sum, row) => sum + row.seconds, 0)), 1e-9);
    const bars = h("div", { class: "progress" }, ...[...prefixes].slice(0, 30).map(([prefix, rows]) => {
      const whole = rows.reduce((sum, row) => sum + row.seconds, 0);
      const track = h("span", { class: "track" }, ...rows.map((row) => {
        const part = h("span", { title: `${row.action}: ${format.duration(row.seconds)}` });
        part.style.background = ACTION_COLORS[row.action] ?? "#888";
        part.style.flexGrow = String(row.seconds);
        return part;
      }));
      const rest = h("span", {});
      rest.style.flexGrow = String(most - whole);
      track.append(rest);
      return h("div", { class: "row" }, h("span", { class: "name", title: prefix }, prefix), track,
        h("span", { class: "numbers" }, rows.map((row) => `${row.action} ${format.duration(row.seconds)}`).join(", ")));
    }));
    table.show(shown);
    fill(body, bars, table.element);
  }, h("div", { class: "bar legend" }, choice, ...Object.entries(ACTION_COLORS).map(([name, tint]) => {
    const dot = h("i", {});
    dot.style.background = tint;
    return h("span", {}, dot, name);
  })));
  return pane;
};
