// Buttons that change the cluster: only there where the scheduler allows it, and asked twice.

import { h } from "./dom";
import type { Context } from "./pane";

const PATIENCE = 4000; // milliseconds for the second click

// Not `confirm`: frames of notebooks have no dialogs.
export function change(context: Context, title: string, question: string, args: () => { [name: string]: unknown }): HTMLElement | null {
  if (!context.actions || context.recorded) return null;
  let armed = false;
  const rest = () => {
    armed = false;
    button.textContent = title;
    button.classList.remove("armed");
  };
  const button = h("button", {
    type: "button", class: "change",
    onclick: async () => {
      if (!armed) {
        armed = true;
        button.textContent = `${title}: sure?`;
        button.classList.add("armed");
        setTimeout(() => { if (armed) rest(); }, PATIENCE);
        return;
      }
      rest();
      button.disabled = true;
      try {
        await context.source.ask(question, args());
        button.textContent = `${title}: done`;
      } catch (error) {
        button.textContent = `${title}: ${(error as Error).message}`;
      } finally {
        button.disabled = false;
      }
    },
  }, title);
  return button;
}
