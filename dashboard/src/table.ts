// Tables that can be sorted with the mouse or the keyboard.

import { fill, h } from "./dom";

export interface Column<Row> {
  title: string;
  value: (row: Row) => string | number;
  show?: (row: Row) => string | Node;
  left?: boolean;
}

export class Table<Row> {
  private sorted = -1;
  private down = true;
  private rows: Row[] = [];
  readonly element = h("table");
  private readonly head = h("tr");
  private readonly body = h("tbody");

  constructor(
    caption: string,
    private readonly columns: Column<Row>[],
    private readonly most = 500,
    private readonly totals?: (rows: Row[]) => (string | number)[],
  ) {
    this.element.append(h("caption", { class: "unseen" }, caption), h("thead", {}, this.head), this.body);
    columns.forEach((column, i) => {
      const button = h("button", { type: "button", onclick: () => this.sort(i) }, column.title);
      this.head.append(h("th", { scope: "col", class: column.left ? "left" : "" }, button));
    });
  }

  show(rows: Row[]): void {
    this.rows = rows;
    const chosen = this.columns[this.sorted];
    if (chosen) {
      const sign = this.down ? -1 : 1;
      rows = [...rows].sort((a, b) => {
        const one = chosen.value(a), other = chosen.value(b);
        return sign * (typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other)));
      });
    }
    const cells = (texts: (string | number | Node)[]) =>
      texts.map((text, i) => h("td", { class: this.columns[i]!.left ? "left" : "" }, text));
    const lines = rows.slice(0, this.most).map((row) =>
      h("tr", {}, ...cells(this.columns.map((column) => (column.show ? column.show(row) : column.value(row))))));
    if (this.totals && rows.length) lines.unshift(h("tr", { class: "totals" }, ...cells(this.totals(rows))));
    if (rows.length > this.most) {
      lines.push(h("tr", {}, h("td", { colspan: this.columns.length, class: "left" }, `and ${rows.length - this.most} more`)));
    }
    // All rows are made anew; who walks through them with the keyboard stays where they are.
    const focused = this.body.contains(document.activeElement) ? document.activeElement!.getAttribute("data-key") : null;
    fill(this.body, ...lines);
    if (focused !== null) {
      for (const each of this.body.querySelectorAll<HTMLElement>("[data-key]")) {
        if (each.getAttribute("data-key") === focused) each.focus({ preventScroll: true });
      }
    }
  }

  private sort(column: number): void {
    this.down = this.sorted === column ? !this.down : true;
    this.sorted = column;
    [...this.head.children].forEach((cell, i) =>
      cell.setAttribute("aria-sort", i !== column ? "none" : this.down ? "descending" : "ascending"));
    this.show(this.rows);
  }
}
