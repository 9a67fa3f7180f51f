// What only a report has: a summary of the block, and what went between workers meanwhile.

import { Chart } from "../charts";
import { css, fill, h } from "../dom";
import * as format from "../format";
import { asked, type MakePane } from "../pane";
import { Table } from "../table";

interface Kind {
  name: string;
  tasks: number;
  failed: number;
  seconds: number;
  longest: number;
  nbytes: number;
}

interface Summary {
  facts: [string, string][];
  work: Kind[];
  code: string;
}

export const summary: MakePane = (context) => {
  const work = new Table<Kind>("Work", [
    { title: "Kind", left: true, value: (row) => row.name },
    { title: "Tasks", value: (row) => row.tasks, show: (row) => format.count(row.tasks) },
    { title: "Failed", value: (row) => row.failed, show: (row) => format.count(row.failed) },
    { title: "Time", value: (row) => row.seconds, show: (row) => format.duration(row.seconds) },
    { title: "Mean", value: (row) => row.seconds / row.tasks, show: (row) => format.duration(row.seconds / row.tasks) },
    { title: "Longest", value: (row) => row.longest, show: (row) => format.duration(row.longest) },
    { title: "Results", value: (row) => row.nbytes, show: (row) => format.bytes(row.nbytes) },
  ]);
  return asked<Summary>(context, "summary", () => ({}), 0, (answer, body) => {
    work.show(answer.work);
    fill(body,
      h("table", { class: "facts" }, h("tbody", {}, ...answer.facts.map(([name, value]) =>
        h("tr", {}, h("th", { scope: "row", class: "left" }, name), h("td", { class: "left" }, value))))),
      answer.work.length ? h("h3", {}, "Work") : null,
      answer.work.length ? work.element : h("p", { class: "muted" }, "No task ran."),
      answer.code ? h("h3", {}, "Code") : null,
      answer.code ? h("pre", {}, answer.code) : null);
  });
};

interface Pair {
  source: string;
  target: string;
  count: number;
  nbytes: number;
  seconds: number;
}

interface Transfers {
  times: number[];
  rates: number[];
  pairs: Pair[];
  more: number;
}

export const transfers: MakePane = (context) => {
  const table = new Table<Pair>("From worker to worker", [
    { title: "From", left: true, value: (row) => row.source },
    { title: "To", left: true, value: (row) => row.target },
    { title: "Transfers", value: (row) => row.count, show: (row) => format.count(row.count) },
    { title: "Data", value: (row) => row.nbytes, show: (row) => format.bytes(row.nbytes) },
    { title: "Time", value: (row) => row.seconds, show: (row) => format.duration(row.seconds) },
    { title: "Bandwidth", value: (row) => row.nbytes / Math.max(row.seconds, 1e-9), show: (row) => `${format.bytes(row.nbytes / Math.max(row.seconds, 1e-9))}/s` },
  ]);
  const drawn = h("div", { class: "fixed" }), chart = new Chart(drawn, "bytes a second");
  const pane = asked<Transfers>(context, "transfers", () => ({}), 0, (answer, body) => {
    if (!answer.pairs.length) {
      fill(body, h("p", { class: "muted" }, "No worker needed data of another one."));
      return;
    }
    table.show(answer.pairs);
    fill(body, drawn, table.element, answer.more ? h("p", { class: "muted" }, `and ${answer.more} more pairs`) : null);
    chart.show(answer.times, [{ label: "between workers", color: css("--accent"), values: answer.rates }]);
  });
  return { ...pane, close: () => { pane.close!(); chart.close(); } };
};
