// The list of molecules, the table of conformers, and texts.

const byId = id => document.getElementById(id);

function add(parent, tag, text, name) {
  const element = parent.appendChild(document.createElement(tag));
  if (text) element.textContent = text;
  if (name) element.className = name;
  return element;
}

const count = (number, word) => number + " " + word + (number === 1 ? "" : "s");

// The value that is shown in a column: energies are relative to the molecule's lowest.
function shownValue(molecule, column, conformer) {
  const value = conformer.values[column.key];
  if (value === undefined || !column.relative) return value;
  return value - Math.min(...molecule.conformers.map(other => other.values[column.key]).filter(other => other !== undefined));
}

// Enough digits to tell the values of a column apart, at least two unless all are integers.
function digits(molecule, column) {
  const values = molecule.conformers.map(conformer => shownValue(molecule, column, conformer)).filter(value => value !== undefined);
  if (values.every(Number.isInteger)) return 0;
  const range = Math.max(...values) - Math.min(...values) || Math.abs(values[0]);
  return clamp(2 - Math.floor(Math.log10(range)), 2, 6);
}

const written = (value, places) => value.toFixed(places).replace("-", "−");

// Columns with what the table and the caption need of them.
function columnsOf(molecule) {
  if (!molecule.shown) {
    molecule.shown = molecule.columns.map(column => {
      const values = molecule.conformers.map(conformer => shownValue(molecule, column, conformer));
      return { ...column, values, places: digits(molecule, column), most: Math.max(...values.filter(value => value !== undefined)) };
    });
  }
  return molecule.shown;
}

// Numbers of the conformers in the order of the table.
function ranking(molecule, sort) {
  const order = molecule.conformers.map((_, number) => number);
  const column = columnsOf(molecule).find(one => one.key === sort.key);
  const key = number => column?.values[number] ?? Infinity; // those without a value come last, either way
  const sign = sort.descending ? -1 : 1;
  if (!column) return sort.descending ? order.reverse() : order;
  return order.sort((a, b) => key(a) === key(b) ? a - b : !isFinite(key(a)) ? 1 : !isFinite(key(b)) ? -1 : sign * (key(a) - key(b)));
}

function fillHeader() {
  document.title = data.title;
  byId("title").textContent = data.title;
  const conformers = data.molecules.reduce((sum, molecule) => sum + molecule.conformers.length, 0);
  const counts = [count(data.molecules.length, "molecule"), count(conformers, "conformer")];
  if (data.notes.length) counts.push(data.notes.length + " not shown");
  byId("counts").textContent = counts.join(", ");
  for (const [label, text] of data.summary) {
    const entry = add(byId("summary"), "span", label + " ");
    add(entry, "b", text);
  }
  if (data.notes.length) add(byId("notes"), "p", "Not shown:");
  data.notes.forEach(note => add(byId("notes"), "p", note));
}

function fillMolecules(select) {
  const list = byId("molecules");
  list.hidden = data.molecules.length < 2;
  // Drawn before they come into view, or a quick scroll or a screenshot would find them empty.
  const draw = entries => entries.filter(entry => entry.isIntersecting).forEach(({ target }) => thumbnail(target));
  const observer = new IntersectionObserver(draw, { root: list, rootMargin: "200%" });
  data.molecules.forEach((molecule, number) => {
    const button = add(list, "button");
    button.type = "button";
    const canvas = add(button, "canvas");
    canvas.molecule = molecule;
    const text = add(button, "div");
    add(text, "b", molecule.name).title = molecule.name;
    add(text, "span", count(molecule.conformers.length, "conformer"));
    button.addEventListener("click", () => select(number));
    observer.observe(canvas);
  });
}

function thumbnail(canvas) {
  const { molecule } = canvas, [first] = ranking(molecule, { key: data.sort, descending: false });
  const pos = coordinates(molecule.conformers[first] ?? molecule.references[0]);
  const hydrogens = molecule.elements.filter(number => number > 1).length < 3, g = cleared(canvas);
  const shown = molecule.elements.map((number, atom) => number > 1 || hydrogens ? point(pos, atom) : [0, 0, 0]);
  const half = Math.max(2, ...shown.flatMap(([x, y]) => [Math.abs(x), Math.abs(y)])) + 0.3;
  const view = { R: STRAIGHT, scale: canvas.width / (2 * half), extent: 2 * molecule.extent, x: canvas.width / 2, y: canvas.height / 2 };
  paint(g, [{ molecule, pos, style: "sticks", hydrogens }], { ...view, theme: currentTheme() });
  canvas.painted = true;
}

function fillTable(molecule, order, sort, select, sortBy) {
  const [head, body] = [byId("conformers").tHead, byId("conformers").tBodies[0]];
  head.replaceChildren();
  body.replaceChildren();
  const named = molecule.conformers.some(conformer => conformer.name);
  const made = molecule.conformers.some(conformer => conformer.method);
  const row = add(head, "tr");
  for (const column of [{ key: "", label: "#", unit: "" }, ...columnsOf(molecule)]) {
    const cell = add(row, "th"), sorted = sort.key === column.key, arrow = sort.descending ? " ↓" : " ↑";
    const button = add(cell, "button", (column.relative ? "Δ " : "") + column.label + (sorted ? arrow : ""));
    add(button, "small", column.unit);
    button.type = "button";
    cell.scope = "col";
    if (sorted) cell.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
    button.addEventListener("click", () => sortBy(column.key));
  }
  if (made) add(row, "th", "method", "text");
  if (named) add(row, "th", "name", "text");
  for (const number of order) {
    const conformer = molecule.conformers[number], line = add(body, "tr");
    line.dataset.conformer = number;
    const first = add(line, "td", String(conformer.number));
    if (conformer.warning) add(first, "span", " \u26a0", "warning").title = conformer.warning;
    for (const column of columnsOf(molecule)) {
      const value = column.values[number], cell = add(line, "td", value === undefined ? "–" : written(value, column.places));
      if (value >= 0 && column.most > 0 && (column.relative || column.label === "RMSD")) {
        cell.style.setProperty("--part", value / column.most);
      }
    }
    if (made) add(line, "td", conformer.method, "text");
    if (named) add(line, "td", conformer.name, "text").title = conformer.name;
    line.addEventListener("click", () => select(number));
  }
  document.querySelector("aside").hidden = body.rows.length + molecule.failures.length < 2;
  for (const failure of molecule.failures) {
    add(add(body, "tr", "", "failed"), "td", "failed: " + failure).colSpan = row.cells.length;
  }
}

function fillLegend(molecule, referenceShown) {
  const legend = byId("legend");
  legend.replaceChildren();
  for (const number of [...new Set(molecule.elements)].sort((a, b) => a - b)) {
    const entry = add(legend, "span");
    add(entry, "i").style.background = css(color(number, currentTheme()));
    entry.append(data.elements[number].name);
  }
  if (referenceShown) {
    const entry = add(legend, "span");
    add(entry, "i", "", "line").style.background = "var(--reference)";
    entry.append("reference");
  }
}

function fillCaption(molecule, conformer) {
  const caption = byId("caption");
  caption.replaceChildren();
  const fact = (label, value) => {
    const entry = add(caption, "span", label + " ");
    add(entry, "b", value);
  };
  if (!conformer) {
    add(caption, "span", molecule.failures.length ? "No conformer was generated; this is the reference." : "This is the reference.");
    return;
  }
  if (conformer.name) add(caption, "b", conformer.name);
  for (const column of columnsOf(molecule)) {
    const value = conformer.values[column.key];
    if (value === undefined) continue;
    const shown = shownValue(molecule, column, conformer), unit = column.unit ? " " + column.unit : "";
    const above = column.relative ? ` (${shown > 0 ? "+" + written(shown, column.places) : "lowest"})` : "";
    const label = column.label === "RMSD" && molecule.references.length > 1 ? `RMSD to reference ${conformer.reference + 1}` : column.label;
    fact(label, written(value, column.places) + unit + above);
  }
  if (conformer.method) fact("method", conformer.method);
  if (conformer.warning) add(caption, "span", "\u26a0 " + conformer.warning, "warning");
  if (conformer.smiles) add(add(caption, "span", "this conformer is "), "code", conformer.smiles);
}
