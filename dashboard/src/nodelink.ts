// Where the nodes of a graph go: in columns by how much lies before them, close to what they need.

export interface Layout {
  x: Float32Array;
  y: Float32Array;
  columns: number;
  rows: number;
}

export function layout(count: number, edges: ArrayLike<number>): Layout {
  const level = new Int32Array(count), needs: number[][] = Array.from({ length: count }, () => []);
  const left = new Int32Array(count), next: number[][] = Array.from({ length: count }, () => []);
  for (let e = 0; e + 1 < edges.length; e += 2) {
    const from = edges[e]!, to = edges[e + 1]!;
    needs[to]!.push(from);
    next[from]!.push(to);
    left[to]!++;
  }
  const ready = [...left.keys()].filter((node) => !left[node]);
  for (let i = 0; i < ready.length; i++) {
    const node = ready[i]!;
    for (const after of next[node]!) {
      level[after] = Math.max(level[after]!, level[node]! + 1);
      if (--left[after]! === 0) ready.push(after);
    }
  }
  const columns: number[][] = [];
  for (let node = 0; node < count; node++) (columns[level[node]!] ??= []).push(node);
  const x = new Float32Array(count), y = new Float32Array(count);
  let rows = 1;
  columns.forEach((nodes, column) => {
    // A node goes to the mean height of what it needs; nodes of a column keep apart by one.
    const height = (node: number) => {
      const before = needs[node]!;
      return before.length ? before.reduce((sum, each) => sum + y[each]!, 0) / before.length : y[node]!;
    };
    nodes.forEach((node, i) => { y[node] = needs[node]!.length ? height(node) : i; });
    nodes.sort((a, b) => y[a]! - y[b]! || a - b);
    let least = -Infinity;
    for (const node of nodes) {
      y[node] = Math.max(y[node]!, least + 1);
      least = y[node]!;
      x[node] = column;
      rows = Math.max(rows, y[node]! + 1);
    }
  });
  return { x, y, columns: Math.max(1, columns.length), rows };
}
