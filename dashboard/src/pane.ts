// What a page is made of: panes, each with an element, brought up to date after a frame.

import { fill, h } from "./dom";
import type { Source } from "./feed";
import type { Store } from "./store";

export interface Context {
  readonly store: Store;
  readonly source: Source;
  readonly actions: boolean; // whether this viewer may change the cluster
  readonly parameters: URLSearchParams;
  readonly recorded: boolean; // whether it is over, and read from a file
  // Where another page of this dashboard is.
  addressOf(page: string, parameters?: { [name: string]: string }): string;
  // Go to another page of this dashboard.
  open(page: string, parameters?: { [name: string]: string }): void;
}

export interface Pane {
  readonly element: HTMLElement;
  update(): void;
  close?(): void;
}

export type MakePane = (context: Context) => Pane;

// A pane that shows the answer to a question, asked again every so many seconds; 0: only once.
export function asked<T>(
  context: Context,
  question: string,
  args: () => { [name: string]: unknown } | null,
  seconds: number,
  show: (answer: T, body: HTMLElement) => void,
  lead?: HTMLElement,
): Pane & { again(): void } {
  const body = h("div", { class: "answer" }), element = h("div", { class: "fill scroll", "data-asked": "waits" }, lead, body);
  let due = 0, under = false, closed = false;
  const ask = async () => {
    const given = args();
    if (under || closed || given === null || !context.store.connected) return;
    under = true;
    due = seconds ? Date.now() + 1000 * seconds : Infinity;
    try {
      const answer = (await context.source.ask(question, given)) as T;
      if (!closed) show(answer, body);
      element.dataset.asked = "answered";
    } catch (error) {
      if (!closed) fill(body, h("p", { class: "error" }, (error as Error).message));
      due = Date.now() + 3000;
    } finally {
      under = false;
    }
  };
  return {
    element,
    update: () => { if (Date.now() >= due && !document.hidden) void ask(); },
    again: () => { due = 0; void ask(); },
    close: () => { closed = true; },
  };
}

export function link(context: Context, text: string, page: string, parameters: { [name: string]: string }): HTMLElement {
  const href = context.addressOf(page, parameters);
  const go = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    context.open(page, parameters);
  };
  return h("a", { href, "data-key": `${page} ${text}`, onclick: go }, text);
}

export const taskLink = (context: Context, key: string) =>
  link(context, key.length > 80 ? `${key.slice(0, 77)}…` : key, "task", { key });

export const workerLink = (context: Context, address: string, name: string) =>
  link(context, name, "worker", { address });
