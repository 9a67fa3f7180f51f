// What was seen running on the workers, or on the scheduler's loop, in a span of time.

import { h } from "../dom";
import { Flame, type Node } from "../flame";
import { asked, type MakePane, type Pane } from "../pane";

const SPANS: [string, number][] = [["all", 0], ["10 s", 10], ["1 min", 60], ["5 min", 300], ["30 min", 1800]];

function profile(of: { own?: boolean; server?: boolean }): MakePane {
  return (context) => {
    const flame = new Flame();
    let span = 0;
    const key = h("input", { type: "search", placeholder: "Prefix", "aria-label": "Only tasks of this prefix", onchange: () => pane.again() });
    const end = h("input", { type: "datetime-local", step: 1, "aria-label": "The span ends at", onchange: () => pane.again() });
    const chosen = h("select", { "aria-label": "Span of time", onchange: () => { span = SPANS[chosen.selectedIndex]![1]; pane.again(); } },
      ...SPANS.map(([title]) => h("option", {}, title)));
    const lead = h("div", { class: "bar" }, of.own ? null : key, h("label", {}, "Span ", chosen), h("label", {}, " until ", end),
      h("button", { type: "button", onclick: () => pane.again() }, "Look again"));
    lead.hidden = context.recorded;
    const pane: Pane & { again(): void } = asked<Node>(
      context, "profile",
      () => {
        const stop = end.value ? new Date(end.value).getTime() / 1000 : 0;
        return {
          ...of,
          ...(key.value ? { key: key.value } : {}),
          ...(stop ? { stop } : {}),
          ...(span ? { start: (stop || context.store.now) - span } : {}),
        };
      },
      5,
      (tree) => flame.show(tree),
      lead,
    );
    pane.element.append(flame.element);
    return { ...pane, update: () => { pane.update(); } };
  };
}

export const ofWorkers = profile({});
export const ofScheduler = profile({ own: true });
export const ofWorkersThemselves = profile({ server: true });
