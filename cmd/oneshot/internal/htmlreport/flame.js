
// units writes a value for people.
function amount(v, unit) {
  const steps = { bytes: [1024, ["B", "KiB", "MiB", "GiB", "TiB"]], nanoseconds: [1000, ["ns", "µs", "ms", "s"]] }[unit];
  if (!steps) return Math.round(v).toLocaleString("en") + (unit === "count" ? "" : " " + unit);
  let i = 0;
  while (Math.abs(v) >= steps[0] && i < steps[1].length - 1) { v /= steps[0]; i++; }
  return (Number.isInteger(v) ? v : v.toPrecision(3)) + " " + steps[1][i];
}

// unpack makes the tree from the list of its nodes.
function unpack(flame) {
  const width = flame.types.length + 2, open = [];
  let root;
  for (let at = 0; at < flame.nodes.length; at += width) {
    const node = { name: str(flame.nodes[at]), values: flame.nodes.slice(at + 2, at + width), children: [], parent: null, depth: open.length };
    if (open.length) {
      const above = open[open.length - 1];
      node.parent = above.node;
      above.node.children.push(node);
      above.left--;
    } else root = node;
    open.push({ node, left: flame.nodes[at + 1] });
    while (open.length && open[open.length - 1].left === 0) open.pop();
  }
  return root;
}

function colorOf(name) {
  let h = 0;
  for (const c of packageOf(name)) h = (h * 31 + c.codePointAt(0)) >>> 0;
  return "c" + h % 8;
}

// shortName leaves out the directories of a package.
const shortName = name => { const end = name.search(/[[(]/); return name.slice(name.lastIndexOf("/", end < 0 ? name.length : end) + 1); };

class FlameGraph {
  constructor(box, flame) {
    this.flame = flame;
    this.root = this.zoomed = unpack(flame);
    this.type = flame.pick;
    const tools = make("div", "tools");
    if (flame.types.length > 1) {
      const select = make("select"), label = make("label", "", "Value");
      flame.types.forEach(t => select.append(make("option", "", t)));
      select.selectedIndex = this.type;
      select.addEventListener("change", () => { this.type = select.selectedIndex; this.draw(); });
      label.append(select);
      tools.append(label);
    }
    this.search = make("input");
    this.search.type = "search";
    const label = make("label", "", "Highlight");
    label.append(this.search);
    this.search.addEventListener("input", () => this.mark());
    const out = make("button", "", "Zoom out");
    out.type = "button";
    out.addEventListener("click", () => this.zoom(this.root));
    tools.append(label, out);
    this.info = make("p", "info mono");
    this.info.setAttribute("role", "status");
    this.area = make("div", "flame");
    this.area.setAttribute("role", "group");
    this.area.setAttribute("aria-label", "Flame graph: " + flame.name);
    this.rows = make("div");
    this.area.append(this.rows);
    this.area.addEventListener("keydown", e => this.key(e));
    for (const name of ["focusin", "mouseover"]) this.area.addEventListener(name, e => { if (e.target.node) this.tell(e.target.node); });
    this.area.addEventListener("focusin", e => { if (e.target.node) this.select(e.target); });
    this.area.addEventListener("click", e => { if (e.target.node) this.zoom(e.target.node); });
    box.append(tools, this.info, this.area);
    if (flame.pruned) box.append(make("p", "hint", flame.pruned + " of the smallest places are left out."));
    this.draw();
  }

  value(node) { return node.values[this.type]; }

  // draw makes a button of each node that is wide enough. The widths are relative, so that
  // they fit a screen of any size, and a sheet of paper.
  draw() {
    this.rows.replaceChildren();
    this.current = null;
    const all = Math.abs(this.value(this.zoomed));
    let depth = 0;
    const put = (node, left, width, above) => {
      const b = make("button", colorOf(node.name) + (above ? " above" : ""), width > 1 ? shortName(node.name) : "");
      b.type = "button";
      b.node = node;
      b.tabIndex = -1;
      b.title = node.name;
      b.setAttribute("aria-label", node.name + ", " + this.share(node));
      b.style.left = left + "%";
      b.style.width = width + "%";
      b.style.top = 1.25 * node.depth + "rem";
      node.button = b;
      depth = Math.max(depth, node.depth);
      this.rows.append(b);
    };
    const clear = [this.root];
    while (clear.length) { const n = clear.pop(); n.button = null; clear.push(...n.children); }
    const path = [];
    for (let n = this.zoomed.parent; n; n = n.parent) path.unshift(n);
    for (const n of path) put(n, 0, 100, true);
    const todo = all ? [[this.zoomed, 0, 100]] : [];
    while (todo.length) {
      const [node, left, width] = todo.pop();
      put(node, left, width, false);
      let x = left;
      const below = [];
      for (const c of [...node.children].sort((a, b) => Math.abs(this.value(b)) - Math.abs(this.value(a)))) {
        const w = 100 * Math.abs(this.value(c)) / all;
        if (w >= 0.15 && x + w <= left + width + 0.01) below.push([c, x, w]);
        x += w;
      }
      todo.push(...below.reverse());
    }
    this.rows.style.height = 1.25 * (depth + 1) + "rem";
    if (!all) this.info.textContent = "Nothing was recorded.";
    else {
      this.select(this.zoomed.button);
      this.tell(this.zoomed);
    }
    this.mark();
  }

  share(node) {
    const unit = this.flame.units[this.type], part = 100 * this.value(node) / this.value(this.root);
    return amount(this.value(node), unit) + " " + this.flame.types[this.type] + ", " + part.toPrecision(3) + "%";
  }

  tell(node) { this.info.textContent = node.name + ": " + this.share(node); }

  // select makes a button the one that the Tab key reaches.
  select(b) {
    if (this.current) this.current.tabIndex = -1;
    this.current = b;
    b.tabIndex = 0;
  }

  zoom(node) {
    const had = this.area.contains(document.activeElement);
    this.zoomed = node;
    this.draw();
    if (had) node.button.focus();
  }

  key(e) {
    const node = e.target.node;
    if (!node || e.altKey || e.ctrlKey || e.metaKey) return;
    const visible = n => n && n.button;
    const widest = n => n.children.filter(visible).sort((a, b) => parseFloat(a.button.style.left) - parseFloat(b.button.style.left));
    const beside = step => {
      if (!node.parent) return null;
      const row = widest(node.parent);
      return row[row.indexOf(node) + step];
    };
    const to = { ArrowUp: () => node.parent, ArrowDown: () => widest(node)[0], ArrowLeft: () => beside(-1), ArrowRight: () => beside(1), Home: () => this.zoomed }[e.key];
    if (to) {
      e.preventDefault();
      const next = to();
      if (visible(next)) next.button.focus();
    } else if (e.key === "Escape") {
      e.preventDefault();
      this.zoom(this.root);
    }
  }

  // mark highlights the functions that contain the text, and says how much is in them.
  mark() {
    const text = this.search.value.trim().toLowerCase(), hit = n => text !== "" && n.name.toLowerCase().includes(text);
    let sum = 0;
    const todo = [[this.root, false]];
    while (todo.length) {
      const [n, inside] = todo.pop(), is = hit(n);
      if (is && !inside) sum += this.value(n);
      if (n.button) n.button.classList.toggle("hit", is);
      for (const c of n.children) todo.push([c, inside || is]);
    }
    if (text && this.value(this.root)) this.info.textContent = this.search.value + ": in " + (100 * sum / this.value(this.root)).toPrecision(3) + "% of " + this.flame.types[this.type];
  }
}

// A graph is drawn when it is opened. On paper, all are open.
const boxes = [...document.querySelectorAll("details[data-flame]")];
function start(box) {
  if (box.open && !box.graph) box.graph = new FlameGraph(box, data.flames[box.dataset.flame]);
}
boxes.forEach(box => {
  box.addEventListener("toggle", () => start(box));
  start(box);
});
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = boxes.filter(box => !box.open);
  opened.forEach(box => { box.open = true; start(box); });
});
window.addEventListener("afterprint", () => opened.forEach(box => { box.open = false; }));
