// What is shown, and the controls that change it. The address keeps it, so that a view can be sent to others.

const DEFAULTS = { molecule: 1, conformer: 0, step: -1, style: "balls", hydrogens: 1, reference: 1, all: 0, theme: "", sort: data.sort, descending: 0 };
const TOGGLES = { h: "hydrogens", r: "reference", a: "all" };
const state = { ...DEFAULTS };
let order = []; // of the conformers in the table, as numbers from 0
let playing = 0; // the animation frame that is waited for

const molecule = () => data.molecules[state.molecule - 1];
const conformer = () => molecule().conformers.find(one => one.number === state.conformer);
const frames = () => conformer()?.frames ?? [];
const rank = () => order.findIndex(number => molecule().conformers[number] === conformer());
// The place among the frames and between them; the conformer follows as the last, and is meant by -1.
const place = () => state.step < 0 ? frames().length : Math.min(state.step, frames().length);

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [key, usual] of Object.entries(DEFAULTS)) {
    const text = given.get(key);
    state[key] = text === null ? usual : typeof usual === "number" ? Number(text) || 0 : text;
  }
  if (!data.molecules[state.molecule - 1]) state.molecule = 1;
  if (!STYLES[state.style]) state.style = "balls";
}

function writeAddress() {
  const changed = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  const hash = new URLSearchParams(changed.map(([key, value]) => [key, String(value)]));
  history.replaceState(null, "", "#" + hash);
}

// Coordinates at a place among the frames.
function between(at) {
  const ends = [...frames(), conformer()], k = Math.floor(at), part = at - k;
  const from = coordinates(ends[k]);
  if (!part) return from;
  const to = coordinates(ends[k + 1]);
  return from.map((value, axis) => value + part * (to[axis] - value));
}

function scene() {
  const now = molecule(), one = conformer(), common = { molecule: now, hydrogens: Boolean(state.hydrogens) };
  if (!one) {
    return { layers: [{ ...common, pos: coordinates(now.references[0]), style: state.style, reference: true }], extent: now.extent };
  }
  const pos = between(place()), onTheWay = place() < frames().length, layers = [];
  if (state.all) {
    now.conformers.filter(other => other !== one).forEach(other =>
      layers.push({ ...common, hydrogens: false, pos: coordinates(other), style: "lines" }));
  }
  if (state.reference && one.reference !== null) {
    layers.push({ ...common, pos: coordinates(now.references[one.reference]), style: "thin", reference: true });
  }
  const extent = onTheWay ? Math.max(now.extent, spread(pos)) : now.extent;
  // Atoms that fly far apart are drawn larger, or they would be dust.
  const size = Math.sqrt(extent / now.extent), shown = onTheWay ? formed(now, pos, coordinates(one)) : null;
  layers.push({ ...common, pos, style: state.style, shown, size });
  return { layers, extent };
}

const stage = new Stage(byId("view"), scene, balls => { document.documentElement.dataset.balls = balls; });

// After another molecule or order.
function rebuild() {
  const now = molecule(), sort = { key: state.sort, descending: Boolean(state.descending) };
  if (!now.columns.some(column => column.key === sort.key)) sort.key = "";
  order = ranking(now, sort);
  if (!conformer()) state.conformer = order.length ? now.conformers[order[0]].number : 0;
  byId("name").textContent = now.name;
  byId("smiles").textContent = now.smiles === now.name ? "" : now.smiles;
  byId("note").textContent = now.note;
  fillTable(now, order, sort, number => choose({ conformer: now.conformers[number].number, step: -1 }), sortBy);
  [...byId("molecules").children].forEach((button, number) => {
    button.setAttribute("aria-current", String(number === state.molecule - 1));
    if (number === state.molecule - 1) reveal(button, byId("molecules"));
  });
  refresh();
}

// After another conformer or way to show it.
function refresh() {
  const now = molecule(), one = conformer(), { dataset } = document.documentElement;
  dataset.theme = state.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  fillLegend(now, one ? state.reference && one.reference !== null : true);
  fillCaption(now, one);
  const text = one ? `conformer ${one.number} of ${now.conformers.length + now.failures.length}` : "";
  byId("choice").hidden = now.conformers.length < 2;
  Object.assign(byId("conformer"), { max: order.length - 1, value: rank() });
  byId("conformertext").textContent = text;
  byId("previous").disabled = rank() <= 0;
  byId("next").disabled = rank() === order.length - 1;
  byId("trajectory").hidden = !frames().length;
  byId("view").setAttribute("aria-label", [now.name, text, byId("caption").textContent].filter(Boolean).join(", "));
  Object.values(TOGGLES).forEach(key => { byId(key).checked = Boolean(state[key]); });
  byId("reference").parentElement.hidden = !one || one.reference === null;
  byId("all").parentElement.hidden = now.conformers.length < 2;
  document.querySelectorAll("[name=style]").forEach(input => { input.checked = input.value === state.style; });
  for (const row of byId("conformers").tBodies[0].rows) {
    const chosen = one !== undefined && now.conformers[row.dataset.conformer] === one;
    row.setAttribute("aria-selected", String(chosen));
    if (chosen) reveal(row, row.closest("aside"));
  }
  document.querySelectorAll("#molecules canvas").forEach(canvas => { if (canvas.painted) thumbnail(canvas); });
  Object.assign(dataset, { molecule: state.molecule, conformer: state.conformer, atoms: now.elements.length, steps: frames().length });
  follow();
}

// After another step of the trajectory.
function follow() {
  const at = place(), frame = frames()[Math.round(at)];
  Object.assign(byId("step"), { max: frames().length, value: at });
  byId("step").style.setProperty("--part", at / Math.max(frames().length, 1));
  byId("steptext").textContent = !frame ? "result" : `step ${frame.step} of ${frames().at(-1).step}` + (frame.level === null ? "" : `, noise level ${Number(frame.level.toPrecision(3))}`);
  byId("play").textContent = playing ? "Pause" : "Play";
  document.documentElement.dataset.step = at;
  stage.redraw();
}

// Scroll a list, not the page, to one of its entries.
function reveal(entry, list) {
  const margin = 3.5 * entry.offsetHeight, inner = entry.getBoundingClientRect(), outer = list.getBoundingClientRect();
  list.scrollTop += Math.min(0, inner.top - margin - outer.top) + Math.max(0, inner.bottom - outer.bottom);
  list.scrollLeft += Math.min(0, inner.left - outer.left) + Math.max(0, inner.right - outer.right);
}

function choose(changes, after = refresh) {
  cancelAnimationFrame(playing);
  playing = 0;
  Object.assign(state, changes);
  after();
  writeAddress();
}

function chooseMolecule(number) {
  if (!data.molecules[number - 1]) return;
  stage.reset();
  choose({ molecule: number, conformer: 0, step: -1 }, rebuild);
}

function chooseRank(at) {
  if (order[at] !== undefined) choose({ conformer: molecule().conformers[order[at]].number, step: -1 });
}

function sortBy(key) {
  choose({ sort: key, descending: Number(state.sort === key && !state.descending) }, rebuild);
}

// From noise, or from where it was stopped, to the result: four seconds or a little more.
function play() {
  const total = frames().length, seconds = clamp(0.12 * total, 4, 10);
  if (!total) return;
  if (playing) {
    choose({ step: Math.round(place()) }, follow);
    return;
  }
  const from = place() >= total ? 0 : place(), steady = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let start;
  const tick = now => {
    start ??= now;
    const at = from + total * (now - start) / (1000 * seconds);
    if (at >= total) {
      choose({ step: -1 }, follow);
      return;
    }
    playing = requestAnimationFrame(tick);
    state.step = steady ? Math.floor(at) : at;
    follow();
  };
  playing = requestAnimationFrame(tick);
}

const KEYS = {
  ",": () => chooseRank(rank() - 1),
  ".": () => chooseRank(rank() + 1),
  "[": () => chooseMolecule(state.molecule - 1),
  "]": () => chooseMolecule(state.molecule + 1),
  " ": play,
  s: () => choose({ style: state.style === "balls" ? "sticks" : "balls" }),
};
for (const [letter, key] of Object.entries(TOGGLES)) KEYS[letter] = () => choose({ [key]: Number(!state[key]) });

function listen() {
  document.addEventListener("keydown", event => {
    const control = event.target.closest("button, summary, input[type=checkbox], input[type=radio]");
    const action = KEYS[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || (event.key === " " && control)) return;
    event.preventDefault();
    action();
  });
  Object.values(TOGGLES).forEach(key => byId(key).addEventListener("change", event => choose({ [key]: Number(event.target.checked) })));
  document.querySelectorAll("[name=style]").forEach(input => input.addEventListener("change", () => choose({ style: input.value })));
  byId("conformer").addEventListener("input", event => chooseRank(Number(event.target.value)));
  byId("previous").addEventListener("click", KEYS[","]);
  byId("next").addEventListener("click", KEYS["."]);
  byId("play").addEventListener("click", play);
  byId("step").addEventListener("input", event => choose({ step: Number(event.target.value) }, follow));
  byId("reset").addEventListener("click", () => stage.reset());
  byId("theme").addEventListener("click", () => choose({ theme: document.documentElement.dataset.theme === "dark" ? "light" : "dark" }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => refresh());
  window.addEventListener("hashchange", () => { readAddress(); rebuild(); });
}

readAddress();
fillHeader();
fillMolecules(number => chooseMolecule(number + 1));
listen();
rebuild();
document.documentElement.dataset.ready = "yes";
