// Numbers over time, drawn by uPlot.

import uPlot from "uplot";
import { css } from "./dom";
import * as format from "./format";

export type Unit = "bytes" | "percent" | "count" | "seconds" | "rate" | "bytes a second";

export interface Line {
  label: string;
  color: string;
  values: (string | number)[] | Float64Array;
}

export function text(unit: Unit, value: number | null): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  switch (unit) {
    case "bytes": return format.bytes(value);
    case "bytes a second": return `${format.bytes(value)}/s`;
    case "percent": return `${value.toFixed(0)} %`;
    case "seconds": return format.duration(value);
    case "rate": return `${format.rate(value)}/s`;
    case "count": return format.count(value);
  }
}

// Steps of an axis of bytes: what reads as a whole number of its unit.
const BINARY = Array.from({ length: 60 }, (_, i) => 2 ** i);

export class Chart {
  private plot: uPlot | null = null;
  private shape = "";
  private readonly watcher: ResizeObserver;

  constructor(private readonly parent: HTMLElement, private readonly unit: Unit, private readonly title = "") {
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(parent);
  }

  show(time: number[], lines: Line[]): void {
    const shape = lines.map((line) => line.label).join("\n") + css("--text");
    const data = [time, ...lines.map((line) => line.values)] as uPlot.AlignedData;
    if (this.plot && shape === this.shape) {
      this.plot.setData(data);
      return;
    }
    this.shape = shape;
    this.plot?.destroy();
    const axis = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") } };
    this.plot = new uPlot(
      {
        ...this.size(),
        title: this.title,
        cursor: { drag: { x: true, y: false } },
        scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.05] } },
        axes: [
          { ...axis, values: "{HH}:{mm}:{ss}" as any, space: 80 },
          { ...axis, size: 84, ...(this.unit.startsWith("bytes") ? { incrs: BINARY } : {}), values: (_, ticks) => ticks.map((tick) => text(this.unit, tick)) },
        ],
        series: [
          { value: (_, value) => (value === null ? "" : format.clock(value)) },
          ...lines.map((line) => ({
            label: line.label,
            stroke: line.color,
            width: 1.5,
            points: { show: false },
            value: (_: uPlot, value: number | null) => text(this.unit, value),
          })),
        ],
      },
      data,
      this.parent,
    );
  }

  close(): void {
    this.watcher.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private size(): { width: number; height: number } {
    // The legend and the title take their part of the height.
    return {
      width: Math.max(120, this.parent.clientWidth),
      height: Math.max(80, this.parent.clientHeight - 30 - (this.title ? 24 : 0)),
    };
  }

  private resize(): void {
    this.plot?.setSize(this.size());
  }
}
