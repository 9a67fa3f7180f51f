// Elements. What comes from a cluster only ever becomes text, never markup.

type Child = Node | string | number | null | undefined | false;
type Attributes = { [name: string]: string | number | boolean | ((event: any) => void) | undefined };

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  add(element, ...children);
  return element;
}

export function add(element: Element, ...children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

export function fill(element: Element, ...children: Child[]): void {
  element.textContent = "";
  add(element, ...children);
}

// A number as a bar behind its text; `share` is 0 to 1.
export function meter(share: number, text: string): HTMLElement {
  const bar = h("i", {}), element = h("span", { class: share > 0.8 ? "meter full" : "meter" }, bar, h("span", {}, text));
  bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0, share)))}%`;
  return element;
}

// A canvas as sharp as the screen; returns its context, scaled so that one unit is one CSS pixel.
export function fit(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } {
  const width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d")!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return { context, width, height };
}

export function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
