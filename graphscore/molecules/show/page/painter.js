// Balls and sticks on a 2-D canvas, far ones first.

const STYLES = {
  balls: { ball: radius => radius, stick: 1 },
  sticks: { ball: () => 0.145, stick: 1.4 },
  thin: { ball: () => 0.085, stick: 0.82, single: true },
  lines: { ball: () => 0, stick: 0.45, single: true },
};

const parsed = hex => [1, 3, 5].map(k => parseInt(hex.slice(k, k + 2), 16));
const mix = (a, b, part) => a.map((value, k) => value + (b[k] - value) * part);
const css = color => "rgb(" + color.map(Math.round).join() + ")";

// Colors that depend on the page: of the paper, of shadows, of reference conformers.
function currentTheme() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(["surface", "shade", "reference"].map(name => [name, parsed(style.getPropertyValue("--" + name).trim())]));
}

// Dark elements, carbon above all, are made lighter on dark paper.
function color(number, theme) {
  const own = parsed(data.elements[number].color), luma = dot(own, [0.3, 0.59, 0.11]);
  return theme.surface[0] < 128 ? mix(own, [255, 255, 255], clamp((130 - luma) / 200, 0, 0.4)) : own;
}

const HAZES = 24; // steps from near to far
const MIXED = new Map(); // tones by color, theme and haze: mixing them anew takes longer than to paint

// Light from the upper left; what is far is paler. From the brightest tone to the darkest.
function shades(own, depth, theme) {
  const far = Math.round(HAZES * clamp(0.5 - depth / 2, 0, 1)), key = own + ";" + theme.surface + ";" + far;
  if (!MIXED.has(key)) {
    const tones = [mix(own, [255, 255, 255], 0.75), mix(own, [255, 255, 255], 0.16), own, mix(own, theme.shade, 0.5)];
    MIXED.set(key, tones.map(tone => css(mix(tone, theme.surface, 0.34 * far / HAZES))));
  }
  return MIXED.get(key);
}

function paintBall(g, x, y, r, tones) {
  const fill = g.createRadialGradient(x - 0.36 * r, y - 0.42 * r, 0.04 * r, x - 0.1 * r, y - 0.12 * r, 1.12 * r);
  [0, 0.25, 0.55, 1].forEach((at, k) => fill.addColorStop(at, tones[k]));
  g.fillStyle = fill;
  g.beginPath();
  g.arc(x, y, r, 0, 2 * Math.PI);
  g.fill();
}

// The ends of a cylinder are circles, seen as ellipses: flat from the side, round from the front.
function paintStick(g, x0, y0, x1, y1, r, slope, tones) {
  const angle = Math.atan2(y1 - y0, x1 - x0), nx = -Math.sin(angle), ny = Math.cos(angle);
  const lit = -(0.6 * nx + 0.8 * ny);
  const fill = g.createLinearGradient(x0 - nx * r, y0 - ny * r, x0 + nx * r, y0 + ny * r);
  fill.addColorStop(lit < 0 ? 1 : 0, tones[3]);
  fill.addColorStop(0.5 + 0.28 * lit, tones[1]);
  fill.addColorStop(lit < 0 ? 0 : 1, tones[2]);
  g.fillStyle = fill;
  g.beginPath();
  g.ellipse(x0, y0, r * slope, r, angle, Math.PI / 2, 1.5 * Math.PI);
  g.ellipse(x1, y1, r * slope, r, angle, -Math.PI / 2, Math.PI / 2);
  g.fill();
}

// A layer is one conformer: {molecule, pos, style, hydrogens, reference, shown, size}.
// A view is {R, scale, x, y, extent, theme}: rotation, pixels per Angstrom, where the origin is, radius for the haze.
// Returns the number of balls painted.
function paint(g, layers, view) {
  const parts = [], { R, scale, extent, theme } = view;
  let balls = 0;
  const place = p => {
    const [x, y, z] = R.map(row => dot(row, p));
    return [view.x + scale * x, view.y - scale * y, z];
  };
  for (const { molecule, pos, style, hydrogens, reference, shown, size = 1 } of layers) {
    const { ball, stick, single } = STYLES[style];
    const own = molecule.elements.map(number => {
      const plain = color(number, theme);
      return reference ? mix(plain, theme.reference, number === 6 || number === 1 ? 1 : 0.35) : plain;
    });
    const radii = molecule.elements.map(number => size * ball(data.elements[number].radius));
    if (style !== "lines") {
      molecule.elements.forEach((number, atom) => {
        if (number === 1 && !hydrogens) return;
        const [x, y, z] = place(point(pos, atom));
        balls += 1;
        parts.push([z, () => paintBall(g, x, y, scale * radii[atom], shades(own[atom], z / extent, theme))]);
      });
    }
    for (const { a, b, radius, atom, hydrogen } of sticks(molecule, pos, radii, size * stick, single, shown)) {
      if (hydrogen && !hydrogens) continue;
      const [x0, y0, z0] = place(a), [x1, y1, z1] = place(b), depth = (z0 + z1) / 2;
      const tones = shades(own[atom], depth / extent, theme);
      parts.push([depth, style === "lines" ? () => {
        g.strokeStyle = tones[1];
        g.lineWidth = Math.max(1, scale * radius);
        g.beginPath();
        g.moveTo(x0, y0);
        g.lineTo(x1, y1);
        g.stroke();
      } : () => {
        const slope = Math.abs(z1 - z0) / Math.max(Math.hypot(...minus(b, a)), 1e-6);
        paintStick(g, x0, y0, x1, y1, scale * radius, slope, tones);
      }]);
    }
  }
  parts.sort((a, b) => a[0] - b[0]).forEach(part => part[1]());
  return balls;
}

// The canvas, cleared and as many pixels as it has on the screen.
function cleared(canvas) {
  const ratio = Math.min(2, window.devicePixelRatio || 1);
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio)), height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const g = canvas.getContext("2d");
  g.clearRect(0, 0, width, height);
  return g;
}
