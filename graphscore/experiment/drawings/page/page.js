"use strict";
// Tiles of nodes and edges on 2-D canvases; all are turned and played together.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const view = { R: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], zoom: 1, time: 1, playing: false };
const tiles = [];
const TONES = 16; // steps from near to far

// Coordinates [n * dim]: x to the right, y up, z towards the viewer.
function coordinates(packed) {
  if (!packed.values) {
    const bytes = Uint8Array.from(atob(packed.xyz), letter => letter.charCodeAt(0));
    const whole = new DataView(bytes.buffer);
    packed.values = Float32Array.from({ length: bytes.length / 2 }, (_, k) => packed.unit * whole.getInt16(2 * k, true));
  }
  return packed.values;
}

const multiply = (A, B) => A.map(row => [0, 1, 2].map(k => row[0] * B[0][k] + row[1] * B[1][k] + row[2] * B[2][k]));

function turn(a, b) {
  const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
  view.R = multiply([[1, 0, 0], [0, cb, -sb], [0, sb, cb]], multiply([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]], view.R));
}

// Places of the nodes at the time that is shown: between two frames, on the line from one to the next.
function placesOf(tile) {
  const frames = tile.frames;
  if (!frames.length || view.time >= 1) return coordinates(tile.pos);
  const at = view.time * (frames.length - 1), k = Math.min(Math.floor(at), frames.length - 2);
  if (k < 0) return coordinates(frames[0].pos);
  const [a, b] = [coordinates(frames[k].pos), coordinates(frames[k + 1].pos)];
  return a.map((value, place) => value + (at - k) * (b[place] - value));
}

const parsed = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim()
  .match(/[0-9a-f]{2}/gi).map(part => parseInt(part, 16));

function tones(name) {
  const [own, paper] = [parsed(name), parsed("tile")];
  return Array.from({ length: TONES }, (_, k) =>
    "rgb(" + own.map((value, c) => Math.round(value + 0.7 * k / (TONES - 1) * (paper[c] - value))) + ")");
}

function paint({ canvas, tile, reference }) {
  const ratio = Math.min(2, window.devicePixelRatio || 1), size = Math.max(1, Math.round(canvas.clientWidth * ratio));
  if (canvas.width !== size) Object.assign(canvas, { width: size, height: size });
  const g = canvas.getContext("2d");
  g.clearRect(0, 0, size, size);
  if (tile.failed) {
    g.fillStyle = "gray";
    g.font = 14 * ratio + "px sans-serif";
    g.textAlign = "center";
    g.fillText("failed: not finite", size / 2, size / 2);
    return;
  }
  const pos = placesOf(tile), count = pos.length / tile.dim;
  const share = tile.edges.length ? 0.16 : tile.dim === 3 ? 0.28 : 0.36;
  const dot = Math.max(0.8 * ratio, 0.5 * share * size / Math.sqrt(Math.max(count, 1)));
  const scale = Math.min(0.46 * size, 0.49 * size - dot) * view.zoom / tile.extent; // whole dots are inside
  const [x, y, depth] = [new Float32Array(count), new Float32Array(count), new Float32Array(count)];
  for (let k = 0; k < count; k++) {
    const p = [pos[tile.dim * k], pos[tile.dim * k + 1], tile.dim === 3 ? pos[3 * k + 2] : 0];
    const [u, v, w] = tile.dim === 3 ? view.R.map(row => row[0] * p[0] + row[1] * p[1] + row[2] * p[2]) : p;
    x[k] = size / 2 + scale * u;
    y[k] = size / 2 - scale * v;
    depth[k] = w;
  }
  const tone = far => tile.dim === 2 ? 0 : Math.max(0, Math.min(TONES - 1, Math.floor(TONES * (0.5 - far / (2 * tile.extent)))));
  const lines = tones("line"), nodes = tones(reference ? "reference" : "node");
  // As many strokes and fills as there are tones: one for each node would be slow.
  const buckets = Array.from({ length: TONES }, () => ({ edges: [], nodes: [] }));
  for (let k = 0; k < tile.edges.length; k += 2) {
    const [i, j] = [tile.edges[k], tile.edges[k + 1]];
    buckets[tone((depth[i] + depth[j]) / 2)].edges.push([i, j]);
  }
  for (let k = 0; k < count; k++) buckets[tone(depth[k])].nodes.push(k);
  const radius = dot * Math.sqrt(view.zoom);
  g.lineWidth = Math.max(1, Math.min(radius * 0.5, 2.5 * ratio));
  const far = tile.dim === 3 ? buckets.map((_, k) => TONES - 1 - k) : [0];
  const layers = tile.dim === 3 ? ["edges nodes"] : ["edges", "nodes"];
  for (const layer of layers) for (const k of far) {
    if (layer.includes("edges")) {
      g.strokeStyle = lines[k];
      g.beginPath();
      for (const [i, j] of buckets[k].edges) { g.moveTo(x[i], y[i]); g.lineTo(x[j], y[j]); }
      g.stroke();
    }
    if (layer.includes("nodes")) {
      g.fillStyle = nodes[k];
      g.beginPath();
      for (const n of buckets[k].nodes) { g.moveTo(x[n] + radius, y[n]); g.arc(x[n], y[n], radius, 0, 2 * Math.PI); }
      g.fill();
    }
  }
}

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const seen = tiles.filter(one => one.visible);
    seen.forEach(paint);
    // For tests: how many tiles are drawn, and at which time.
    Object.assign(document.documentElement.dataset, { tiles: seen.length, time: view.time.toFixed(3) });
    const played = tiles.find(one => one.tile.frames?.length);
    if (!played) return;
    const { frames } = played.tile, frame = frames[Math.round(view.time * (frames.length - 1))];
    const level = frame.level === null ? "" : frame.level > 0 ? ", noise level " + frame.level.toPrecision(3) : ", no noise";
    byId("step").textContent = "step " + frame.step + " of " + frames[frames.length - 1].step + level;
    byId("time").value = Math.round(1000 * view.time);
    byId("play").textContent = view.playing ? "❚❚" : "▶";
    byId("play").setAttribute("aria-label", view.playing ? "pause" : "play");
  });
}

function play(from) {
  view.playing = true;
  if (view.time >= 1) view.time = 0;
  let last = performance.now();
  const next = now => {
    if (!view.playing) return;
    view.time = Math.min(1, view.time + (now - last) / 5000);
    last = now;
    if (view.time >= 1) view.playing = false;
    draw();
    if (view.playing) requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
  draw();
}

function add(parent, tag, text) {
  const element = parent.appendChild(document.createElement(tag));
  if (text) element.textContent = text;
  return element;
}

function listen(canvas) {
  let from = null;
  canvas.addEventListener("pointerdown", event => { from = event; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { from = null; });
  canvas.addEventListener("pointermove", event => {
    if (!from) return;
    turn((event.clientX - from.clientX) / 120, (event.clientY - from.clientY) / 120);
    from = event;
    draw();
  });
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.shiftKey) return; // a plain wheel scrolls the page
    event.preventDefault();
    view.zoom = Math.min(20, Math.max(0.2, view.zoom * Math.exp(-event.deltaY / 500)));
    draw();
  }, { passive: false });
  const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
  canvas.addEventListener("keydown", event => {
    if (event.key in turns) turn(...turns[event.key]);
    else if (event.key === "+") view.zoom = Math.min(20, view.zoom * 1.1);
    else if (event.key === "-") view.zoom = Math.max(0.2, view.zoom / 1.1);
    else return;
    event.preventDefault();
    draw();
  });
}

function build() {
  const observer = new IntersectionObserver(entries => {
    entries.forEach(({ target, isIntersecting }) => { target.own.visible = isIntersecting; });
    draw();
  }, { rootMargin: "100%" });
  const sizes = new ResizeObserver(draw);
  for (const block of data.blocks) {
    if (!block.tiles.length) continue;
    const section = add(byId("blocks"), "section");
    if (block.name) add(section, "h2", block.name);
    const grid = add(section, "div");
    grid.className = "tiles";
    if (block.tiles.length < 3) grid.style.setProperty("--size", "420px");
    for (const tile of block.tiles) {
      const figure = add(grid, "figure"), canvas = add(figure, "canvas");
      add(figure, "figcaption", tile.label);
      canvas.own = { canvas, tile, reference: block.reference, visible: true };
      tiles.push(canvas.own);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", tile.label || block.name || "graph");
      if (tile.dim === 3) {
        canvas.className = "solid";
        if (!document.querySelector("canvas[tabindex]")) canvas.tabIndex = 0; // one for all, since all turn together
        listen(canvas);
      }
      observer.observe(canvas);
      sizes.observe(canvas);
    }
  }
  const solid = tiles.some(one => one.tile.dim === 3);
  byId("counts").textContent = data.blocks.filter(block => block.tiles.length)
    .map(block => block.tiles.length + " " + (block.name || "graphs")).join(", ");
  byId("help").textContent = solid ? "Drag, or arrow keys, to turn; wheel with Shift or Ctrl, or + and -, to zoom." : "";
  data.notes.forEach(note => add(byId("notes"), "p", note));
  if (solid) { turn(-0.6, 0); turn(0, 0.3); }
  byId("player").hidden = !tiles.some(one => one.tile.frames?.length);
  byId("time").addEventListener("input", event => { view.playing = false; view.time = event.target.value / 1000; draw(); });
  byId("play").addEventListener("click", () => { if (view.playing) { view.playing = false; draw(); } else play(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
}

build();
