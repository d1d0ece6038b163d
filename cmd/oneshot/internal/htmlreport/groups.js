const data = JSON.parse(document.getElementById("data").textContent);
const str = i => data.strings[i];
const byId = id => document.getElementById(id);

// make returns an element. Text becomes text nodes only, never HTML.
function make(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// packageOf returns the package of a function: what is before the first dot after the
// last slash. The type arguments in brackets may have slashes too.
function packageOf(name) {
  const end = name.search(/[[(]/);
  const head = end < 0 ? name : name.slice(0, end);
  const dot = head.indexOf(".", head.lastIndexOf("/") + 1);
  return dot < 0 ? head : head.slice(0, dot);
}

function minutes(g) {
  if (!g.b) return "";
  const range = (g.a || 0) === g.b ? g.b : (g.a || 0) + " to " + g.b;
  return ", " + range + (g.b === 1 ? " minute" : " minutes");
}

// place returns function, file and line of a frame.
function place(i) {
  const [f, file, line] = data.frames[i];
  return str(file) ? str(f) + "  " + str(file) + ":" + line : str(f);
}

function frameItem(i, className, prefix) {
  const [f, file, line] = data.frames[i];
  const item = make("li", className, (prefix || "") + str(f));
  if (str(file)) item.append("  ", make("span", "file", str(file) + ":" + line));
  return item;
}

function groupItem(g, total) {
  const item = make("li"), box = make("details"), head = make("summary");
  const share = Math.round(100 * g.n / total);
  head.append(make("span", "count", String(g.n)),
    make("span", "state", (str(g.s) || "goroutines") + minutes(g) + (share >= 1 ? ", " + share + "%" : "") + (g.l ? ", " + g.l + " leaked" : "")));
  const at = g.w >= 0 ? g.w : 0;
  if (g.f.length) head.append(make("span", "where mono", place(g.f[at])));
  box.append(head);
  box.addEventListener("toggle", () => { // the frames are made when they are wanted
    if (box.childElementCount > 1) return;
    const frames = make("ol", "frames mono");
    g.f.forEach((f, i) => frames.append(frameItem(f, i === g.w ? "site" : "")));
    if (g.c >= 0) frames.append(frameItem(g.c, "", "created by "));
    if (g.t) frames.append(make("li", "file", "labels " + g.t));
    if (g.i) frames.append(make("li", "file", "goroutines " + g.i));
    box.append(frames);
  });
  item.append(box);
  return item;
}

function addOptions(select, counts, most) {
  [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, most).forEach(([name, n]) => {
    const option = make("option", "", (name || "not known") + " (" + n + ")");
    option.value = name;
    select.append(option);
  });
}

function showGroups() {
  const list = byId("list"), more = byId("more"), all = byId("all"), left = byId("left"), step = 50, mostOnPaper = 500;
  const total = data.groups.reduce((n, g) => n + g.n, 0);
  const states = new Map(), packages = new Map();
  const known = data.groups.map(g => { // what the filters look at
    const frames = g.c >= 0 ? g.f.concat(g.c) : g.f;
    const inside = new Set(frames.map(f => packageOf(str(data.frames[f][0]))));
    states.set(str(g.s), (states.get(str(g.s)) || 0) + g.n);
    inside.forEach(p => packages.set(p, (packages.get(p) || 0) + g.n));
    return { g, inside };
  });
  addOptions(byId("state"), states, 200);
  addOptions(byId("package"), packages, 500);
  let found = [], shown = 0;
  let named = null; // the frames of the finding whose goroutines are wanted; null: of all
  const count = known => known.reduce((n, k) => n + k.g.n, 0);
  const at = (g, frames) => g.f.some(f => frames.has(f));
  const show = n => { // the next n groups
    const next = found.slice(shown, shown + n);
    list.append(...next.map(k => groupItem(k.g, total)));
    const first = list.children[shown];
    shown += next.length;
    more.hidden = shown >= found.length;
    return first;
  };
  const filter = () => {
    const text = byId("search").value.trim().toLowerCase(), state = byId("state"), pkg = byId("package");
    found = known.filter(({ g, inside }) =>
      (!named || at(g, named)) &&
      (state.selectedIndex === 0 || str(g.s) === state.value) &&
      (pkg.selectedIndex === 0 || inside.has(pkg.value)) &&
      (!text || [str(g.s), g.t || "", ...g.f.map(place), g.c >= 0 ? place(g.c) : ""].some(s => s.toLowerCase().includes(text))));
    list.replaceChildren();
    shown = 0;
    show(step);
    byId("shown").textContent = count(found) + " of " + total + " goroutines, in " + found.length + (found.length === 1 ? " group" : " groups") +
      (named ? ", at the places of a finding" : "");
    all.hidden = !named;
  };
  let timer;
  byId("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 150); });
  byId("state").addEventListener("change", filter);
  byId("package").addEventListener("change", filter);
  byId("filter").addEventListener("submit", e => { e.preventDefault(); filter(); });
  more.addEventListener("click", () => {
    const first = show(step);
    if (first) first.querySelector("summary").focus(); // the keyboard goes on where the new ones begin
  });
  let before = 0; // the groups that were shown before the page was printed
  window.addEventListener("beforeprint", () => { // paper has no button to show more
    before = shown;
    show(Math.max(mostOnPaper - shown, 0));
    const rest = found.slice(shown);
    left.hidden = rest.length === 0;
    left.textContent = "Groups that are not printed: " + rest.length + ", with " + count(rest) + " goroutines.";
  });
  window.addEventListener("afterprint", () => {
    while (list.childElementCount > before) list.lastElementChild.remove();
    shown = before;
    more.hidden = shown >= found.length;
    left.hidden = true;
  });
  all.addEventListener("click", () => {
    named = null;
    filter();
    byId("search").focus(); // the button is hidden now
  });
  document.querySelectorAll(".findings > li").forEach((item, i) => {
    const frames = new Set(data.places[i]);
    if (!data.groups.some(g => at(g, frames))) return;
    const button = make("button", "to-groups", "Show these goroutines"), line = make("p");
    button.type = "button";
    button.setAttribute("aria-describedby", item.querySelector("h3").id);
    button.addEventListener("click", () => {
      named = frames;
      byId("filter").reset();
      filter();
      byId("groups").scrollIntoView();
      list.querySelector("summary").focus({ preventScroll: true });
    });
    line.append(button);
    item.append(line);
  });
  filter();
}

if (byId("list")) showGroups();
