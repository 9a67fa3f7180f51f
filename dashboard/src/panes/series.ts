// Numbers over time: of the cluster from its history, of the scheduler's process, of its loop.

import { Chart, type Line, type Unit } from "../charts";
import { css, h } from "../dom";
import type { MakePane } from "../pane";
import type { Series } from "../store";

type Wanted = [label: string, column: string, color: string];

// The growth a second of a column that only grows.
function growth(series: Series, column: string): number[] {
  const values = series.columns[column] ?? [];
  return series.time.map((time, i) => {
    if (i === 0) return 0;
    const seconds = time - series.time[i - 1]!, more = values[i]! - values[i - 1]!;
    return seconds > 0 && more >= 0 ? more / seconds : 0;
  });
}

function series(unit: Unit, wanted: Wanted[], grows = false): MakePane {
  return (context) => {
    const element = h("div", { class: "fill" }), chart = new Chart(element, unit);
    let drawn = -1;
    return {
      element,
      update: () => {
        const all = context.store.series;
        if (all.time.length === drawn && drawn > 0 && all.time.length < 3000) return;
        drawn = all.time.length;
        const lines: Line[] = wanted.map(([label, column, color]) => ({
          label,
          color: css(color),
          values: grows ? growth(all, column) : (all.columns[column] ?? new Array(all.time.length).fill(null)).map((v) => (Number.isNaN(v) ? null : v) as number),
        }));
        chart.show(all.time, lines);
      },
      close: () => chart.close(),
    };
  };
}

export const memory = series("bytes", [
  ["process", "memory", "--accent"], ["results", "managed", "--good"], ["spilled", "spilled", "--spilled"], ["limit", "limit", "--muted"],
]);
export const processor = series("percent", [["all workers", "cpu", "--accent"]]);
export const tasks = series("count", [
  ["processing", "processing", "--warn"], ["waiting", "waiting", "--muted"], ["stored", "stored", "--good"], ["failed", "erred", "--bad"],
]);
export const rate = series("rate", [["tasks", "rate", "--accent"]]);
export const network = series("bytes a second", [["sent between workers", "outgoing", "--accent"]], true);
export const work = series("seconds", [["assigned", "occupancy", "--accent"]]);
export const crew = series("count", [["workers", "workers", "--accent"], ["threads", "threads", "--muted"]]);

export const schedulerProcessor = series("percent", [["scheduler", "own.cpu", "--accent"]]);
export const schedulerMemory = series("bytes", [["scheduler", "own.memory", "--accent"]]);
export const schedulerNetwork = series("bytes a second", [
  ["read", "own.host_net_io.read_bps", "--accent"], ["written", "own.host_net_io.write_bps", "--warn"],
]);
export const schedulerDisk = series("bytes a second", [
  ["read", "own.host_disk_io.read_bps", "--accent"], ["written", "own.host_disk_io.write_bps", "--warn"],
]);
export const schedulerFiles = series("count", [["open files", "own.num_fds", "--accent"]]);
export const contention = series("seconds", [["the loop was late by", "lag", "--bad"]]);
