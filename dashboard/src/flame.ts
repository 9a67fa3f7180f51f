// A profile: what was running, from the outside in, as wide as it was often seen.

import { warm } from "./colors";
import { css, fill, fit, h } from "./dom";

export interface Node {
  name: string;
  where: string;
  line: string;
  count: number;
  children: Node[];
}

const ROW = 18;

export class Flame {
  readonly element = h("div", { class: "flame" });
  private readonly canvas = h("canvas", { tabindex: 0, role: "img", "aria-label": "Profile; Backspace goes out again" });
  private readonly told = h("pre", { class: "told", "aria-live": "polite" });
  private path: Node[] = [];
  private boxes: { node: Node; x: number; y: number; width: number }[] = [];
  private total = 0;

  constructor() {
    const out = h("button", { type: "button", onclick: () => this.out() }, "Back out");
    this.element.append(h("div", { class: "bar" }, out, " Click what you want to see larger."), this.canvas, this.told);
    this.canvas.addEventListener("pointermove", (event) => this.hover(event));
    this.canvas.addEventListener("click", (event) => {
      const box = this.find(event);
      if (box) this.path.push(box.node);
      this.draw();
    });
    this.canvas.addEventListener("keydown", (event) => {
      if (event.key === "Backspace" || event.key === "Escape") this.out();
    });
  }

  show(tree: Node): void {
    this.total = tree.count;
    // What one had zoomed into stays, where it still is.
    const path = [tree];
    for (const node of this.path.slice(1)) {
      const again = search(path[path.length - 1]!, node.name, node.where);
      if (!again) break;
      path.push(again);
    }
    this.path = path;
    this.draw();
  }

  private out(): void {
    if (this.path.length > 1) this.path.pop();
    this.draw();
  }

  draw(): void {
    const root = this.path[this.path.length - 1];
    if (!root) return;
    this.canvas.style.height = `${Math.max(2, depth(root)) * ROW}px`;
    const { context, width, height } = fit(this.canvas);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.boxes = [];
    if (!root.count) {
      context.fillStyle = css("--muted");
      context.fillText("Nothing was seen running.", 4, ROW / 2);
      return;
    }
    const put = (node: Node, x: number, wide: number, level: number) => {
      if (wide < 1) return;
      this.boxes.push({ node, x, y: level * ROW, width: wide });
      context.fillStyle = level ? warm(node.name) : css("--line");
      context.fillRect(x, level * ROW, Math.max(1, wide - 1), ROW - 1);
      if (wide > 30) {
        context.save();
        context.beginPath();
        context.rect(x, level * ROW, wide - 3, ROW);
        context.clip();
        context.fillStyle = level ? "#111" : css("--text");
        context.fillText(node.name, x + 3, level * ROW + ROW / 2);
        context.restore();
      }
      let at = x;
      for (const child of node.children) {
        const part = (wide * child.count) / node.count;
        put(child, at, part, level + 1);
        at += part;
      }
    };
    put(root, 0, width, 0);
  }

  private find(event: MouseEvent) {
    const box = this.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    return this.boxes.find((each) => x >= each.x && x < each.x + each.width && y >= each.y && y < each.y + ROW);
  }

  private hover(event: MouseEvent): void {
    const box = this.find(event);
    if (!box) return;
    const { name, where, line, count } = box.node;
    fill(this.told, `${name}  ${((100 * count) / this.total).toFixed(1)} %  (${count} samples)\n${where}\n${line}`);
  }
}

function depth(node: Node): number {
  return 1 + node.children.reduce((most, child) => Math.max(most, depth(child)), 0);
}

function search(node: Node, name: string, where: string): Node | null {
  for (const child of node.children) {
    if (child.name === name && child.where === where) return child;
    const found = search(child, name, where);
    if (found) return found;
  }
  return null;
}
