// How tasks and groups of tasks depend on each other.

import { STATE_COLORS } from "../colors";
import { css, fill, fit, h } from "../dom";
import * as format from "../format";
import { layout, type Layout } from "../nodelink";
import { asked, type MakePane } from "../pane";
import { Table } from "../table";

interface Picture {
  labels: string[];
  colors: string[];
  sizes: number[];
  edges: number[];
  pick?: (node: number) => void;
}

class GraphView {
  readonly element = h("div", { class: "fill" });
  private readonly canvas = h("canvas", { class: "fill", role: "img", "aria-label": "Graph" });
  private readonly told = h("div", { class: "told", "aria-live": "polite" });
  private places: Layout | null = null;
  private shape = "";
  private picture: Picture | null = null;

  constructor() {
    this.element.append(this.canvas, this.told);
    this.canvas.addEventListener("pointermove", (event) => {
      const node = this.find(event);
      fill(this.told, node < 0 ? "" : this.picture!.labels[node]!);
    });
    this.canvas.addEventListener("click", (event) => {
      const node = this.find(event);
      if (node >= 0) this.picture!.pick?.(node);
    });
  }

  show(picture: Picture): void {
    const shape = `${picture.labels.length} ${picture.edges.length}`;
    if (shape !== this.shape || !this.places) this.places = layout(picture.labels.length, picture.edges);
    this.shape = shape;
    this.picture = picture;
    this.draw();
  }

  private place(node: number, width: number, height: number): [number, number] {
    const { x, y, columns, rows } = this.places!;
    // Names stand to the right of the nodes, so these are to the left in their columns.
    return [((x[node]! + (this.picture!.labels.length <= 60 ? 0.12 : 0.5)) / columns) * width, ((y[node]! + 0.5) / rows) * height];
  }

  private draw(): void {
    const { context, width, height } = fit(this.canvas), picture = this.picture!;
    context.clearRect(0, 0, width, height);
    context.strokeStyle = css("--line");
    context.globalAlpha = picture.edges.length > 4000 ? 0.4 : 1;
    context.beginPath();
    for (let e = 0; e + 1 < picture.edges.length; e += 2) {
      const [x0, y0] = this.place(picture.edges[e]!, width, height), [x1, y1] = this.place(picture.edges[e + 1]!, width, height);
      context.moveTo(x0, y0);
      context.bezierCurveTo((x0 + x1) / 2, y0, (x0 + x1) / 2, y1, x1, y1);
    }
    context.stroke();
    context.globalAlpha = 1;
    picture.labels.forEach((label, node) => {
      const [x, y] = this.place(node, width, height), size = picture.sizes[node]!;
      context.fillStyle = picture.colors[node]!;
      context.beginPath();
      context.arc(x, y, size, 0, 7);
      context.fill();
      // As much of the name as there is room for, up to the next column.
      const most = Math.floor((width / this.places!.columns - 2 * size - 8) / 6);
      if (picture.labels.length <= 60 && most > 4) {
        context.fillStyle = css("--text");
        context.font = "11px system-ui, sans-serif";
        context.fillText(label.length > most ? `${label.slice(0, most - 1)}…` : label, x + size + 3, y + 4);
      }
    });
  }

  private find(event: MouseEvent): number {
    if (!this.places || !this.picture) return -1;
    const box = this.canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = 144;
    for (let node = 0; node < this.picture.labels.length; node++) {
      const [x, y] = this.place(node, box.width, box.height), away = (x - px) ** 2 + (y - py) ** 2;
      if (away < least) { best = node; least = away; }
    }
    return best;
  }
}

const legend = () =>
  h("div", { class: "bar legend" }, ...Object.entries(STATE_COLORS).map(([state, color]) => {
    const dot = h("i", {});
    dot.style.background = color;
    return h("span", {}, dot, state);
  }));

interface TaskGraph {
  too_many?: number;
  most: number;
  keys: string[];
  states: string[];
  prefixes: string[];
  edges: number[];
}

export const graph: MakePane = (context) => {
  const view = new GraphView();
  const pane = asked<TaskGraph>(context, "graph", () => ({}), 1, (answer, body) => {
    if (answer.too_many) {
      view.element.hidden = true;
      fill(body, h("p", {}, `${format.count(answer.too_many)} tasks are more than the ${format.count(answer.most)} that are drawn one by one; the page "Groups" shows them together.`));
      return;
    }
    view.element.hidden = false;
    fill(body);
    const size = answer.keys.length > 1000 ? 2 : answer.keys.length > 100 ? 4 : 6;
    view.show({
      labels: answer.keys.map((key, i) => `${key} — ${answer.states[i]}`),
      colors: answer.states.map((state) => STATE_COLORS[state] ?? "#888"),
      sizes: answer.keys.map(() => size),
      edges: answer.edges,
      pick: (node) => context.open("task", { key: answer.keys[node]! }),
    });
  }, legend());
  pane.element.classList.add("column");
  pane.element.append(view.element);
  return pane;
};

interface Group {
  name: string;
  prefix: string;
  counts: { [state: string]: number };
  nbytes: number;
  duration: number;
  types: string[];
  size: number;
}

type Groups = { groups: Group[]; edges: number[] };

const MAIN = ["erred", "no-worker", "processing", "queued", "waiting", "memory", "released"];

export const groups: MakePane = (context) => {
  const view = new GraphView();
  const pane = asked<Groups>(context, "groups", () => ({}), 2, (answer) => {
    view.show({
      labels: answer.groups.map((group) => `${group.prefix} (${format.count(group.size)}) — ${group.name}`),
      colors: answer.groups.map((group) => STATE_COLORS[MAIN.find((state) => group.counts[state]) ?? "released"]!),
      sizes: answer.groups.map((group) => 4 + Math.min(14, 2 * Math.log10(1 + group.size))),
      edges: answer.edges,
    });
  }, legend());
  pane.element.classList.add("column");
  pane.element.append(view.element);
  return pane;
};

export const groupTable: MakePane = (context) => {
  const table = new Table<Group>("Groups", [
    { title: "Group", left: true, value: (group) => group.name },
    ...MAIN.map((state) => ({ title: state, value: (group: Group) => group.counts[state] ?? 0 })),
    { title: "Results", value: (group: Group) => group.nbytes, show: (group: Group) => format.bytes(group.nbytes) },
    { title: "Ran for", value: (group: Group) => group.duration, show: (group: Group) => format.duration(group.duration) },
    { title: "Types", left: true, value: (group: Group) => group.types.join(", ") },
  ]);
  const pane = asked<Groups>(context, "groups", () => ({}), 2, (answer) => table.show(answer.groups));
  pane.element.append(table.element);
  return pane;
};
