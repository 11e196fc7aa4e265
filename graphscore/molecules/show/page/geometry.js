"use strict";
// Coordinates, and the sticks between them. What is computed here is what graphscore.molecules.show.structures draws in pictures.

const data = JSON.parse(document.getElementById("data").textContent);

// Coordinates [3N] in Angstrom: x to the right, y up, z towards the viewer.
function coordinates(packed) {
  if (!packed.pos) {
    const bytes = Uint8Array.from(atob(packed.xyz), letter => letter.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    packed.pos = Float32Array.from({ length: bytes.length / 2 }, (_, k) => packed.unit * view.getInt16(2 * k, true));
  }
  return packed.pos;
}

const point = (pos, atom) => [pos[3 * atom], pos[3 * atom + 1], pos[3 * atom + 2]];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (a, b, part) => [a[0] + part * b[0], a[1] + part * b[1], a[2] + part * b[2]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const STRAIGHT = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
const multiply = (A, B) => A.map(row => [0, 1, 2].map(k => row[0] * B[0][k] + row[1] * B[1][k] + row[2] * B[2][k]));

// Turn about the screen's vertical axis by a, its horizontal one by b, and the line of sight by c.
function turned(R, a, b, c = 0) {
  const [ca, sa, cb, sb, cc, sc] = [a, b, c].flatMap(angle => [Math.cos(angle), Math.sin(angle)]);
  const about = multiply([[1, 0, 0], [0, cb, -sb], [0, sb, cb]], multiply([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]], R));
  return multiply([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]], about);
}

// For each bond, the pairs (its end, neighbor of that end) that say in which plane it is; in a ring, those of the ring.
function neighbors(molecule) {
  if (!molecule.neighbors) {
    const at = molecule.elements.map(() => []);
    molecule.bonds.forEach(([i, j, order]) => { at[i].push([j, order]); at[j].push([i, order]); });
    molecule.neighbors = molecule.bonds.map(([i, j, order]) => [[i, j], [j, i]].flatMap(([end, other]) =>
      at[end].filter(([atom, kind]) => atom !== other && (order !== 4 || kind === 4)).map(([atom]) => [end, atom])));
  }
  return molecule.neighbors;
}

// Unit vector across a bond: in the plane of its neighbors, into the ring if it is aromatic.
function side(pos, axis, pairs, aromatic) {
  const across = pairs.map(([end, atom]) => minus(point(pos, atom), point(pos, end)))
    .map(vector => along(vector, axis, -dot(vector, axis)));
  const ring = aromatic ? [across.reduce((sum, vector) => along(sum, vector, 1), [0, 0, 0])] : [];
  across.sort((a, b) => Math.abs(a[2]) - Math.abs(b[2]));
  const others = [cross(axis, [0, 0, 1]), cross(axis, [0, 1, 0]), [1, 0, 0]];
  const found = [...ring, ...across, ...others].find(vector => dot(vector, vector) > 0.09);
  return found.map(value => value / Math.sqrt(dot(found, found)));
}

// Where a strand is seen between two balls: pieces of it from 0 to 1, each with the end that it belongs to.
function pieces(dashed, visible) {
  if (!dashed) return [[0, 0.5, 0], [0.5, 1, 1]];
  const count = Math.max(2, 2 * Math.round(visible / 0.4));
  return Array.from({ length: count }, (_, k) => [(k + 0.25) / count, (k + 0.65) / count, Number(2 * k >= count)]);
}

// Sticks of all bonds, {a, b, radius, atom, hydrogen}: from a to b, in the color of the atom. With `single`, bonds of all
// orders look alike; they are as much thinner as `shown`, from 0 to 1 for each, says.
function sticks(molecule, pos, radii, thickness, single, shown) {
  const out = [], sides = neighbors(molecule);
  molecule.bonds.forEach(([i, j, order], number) => {
    const size = shown ? shown[number] : 1;
    const from = point(pos, i), line = minus(point(pos, j), from), length = Math.sqrt(dot(line, line));
    if (size < 0.02 || length < 1e-6) return;
    const axis = line.map(value => value / length);
    const kind = single ? 1 : order;
    const aside = kind > 1 ? side(pos, axis, sides[number], kind === 4) : [0, 0, 0];
    const hydrogen = molecule.elements[i] === 1 || molecule.elements[j] === 1;
    for (const [offset, radius, dashed] of data.strands[kind]) {
      const [start, end] = [radii[i], radii[j]].map(r => 0.9 * Math.sqrt(Math.max(r * r - offset * offset, 0)));
      const visible = length - start - end;
      if (visible <= 0) continue;
      const base = along(along(from, aside, offset), axis, start);
      for (const [first, last, owner] of pieces(dashed, visible)) {
        out.push({ a: along(base, axis, first * visible), b: along(base, axis, last * visible),
          radius: thickness * radius * size, atom: owner ? j : i, hydrogen });
      }
    }
  });
  return out;
}

// How much of each bond to show on the way from noise: all of it up to 1.3 times its final length, nothing from twice on.
function formed(molecule, pos, end) {
  const length = (at, i, j) => Math.hypot(...minus(point(at, i), point(at, j)));
  return molecule.bonds.map(([i, j]) => clamp((2 - length(pos, i, j) / Math.max(length(end, i, j), 0.5)) / 0.7, 0, 1));
}

// Radius within which nine of ten atoms are.
function spread(pos) {
  const squares = Array.from({ length: pos.length / 3 }, (_, atom) => dot(point(pos, atom), point(pos, atom)));
  return Math.sqrt(squares.sort((a, b) => a - b)[Math.floor(0.9 * (squares.length - 1))]) + 0.6;
}
