// The canvas that is turned by hand.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Stage {
  // `scene()` gives {layers, extent}; `drawn(balls)` is told how many there were. With `scrolls`, a plain wheel is left to
  // the page.
  constructor(canvas, scene, drawn, scrolls = false) {
    Object.assign(this, { canvas, scene, drawn, scrolls, pointers: new Map() });
    this.reset();
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  reset() {
    Object.assign(this, { R: STRAIGHT, zoom: 1, shift: [0, 0] });
    this.redraw();
  }

  turn(a, b, c = 0) {
    this.R = turned(this.R, a, b, c);
    this.redraw();
  }

  // Zoom by a factor about a point of the canvas, in CSS pixels from its middle.
  magnify(factor, [x, y] = [0, 0]) {
    const zoom = clamp(this.zoom * factor, 0.2, 20), real = zoom / this.zoom;
    this.shift = [x - real * (x - this.shift[0]), y - real * (y - this.shift[1])];
    this.zoom = zoom;
    this.redraw();
  }

  move(x, y) {
    this.shift = [this.shift[0] + x, this.shift[1] + y];
    this.redraw();
  }

  listen() {
    const { canvas, pointers } = this;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    canvas.addEventListener("pointermove", event => this.drag(event));
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
      canvas.addEventListener(name, event => pointers.delete(event.pointerId));
    }
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("wheel", event => {
      if (this.scrolls && !event.ctrlKey && !event.shiftKey) return;
      event.preventDefault();
      this.magnify(Math.exp(-0.0012 * clamp(event.deltaY * (event.deltaMode ? 20 : 1), -250, 250)), this.fromMiddle(event.clientX, event.clientY));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const arrow = ARROWS[event.key];
      if (arrow) this.turn(0.12 * arrow[0], 0.12 * arrow[1]);
      else if (event.key === "+" || event.key === "=") this.magnify(1.15);
      else if (event.key === "-") this.magnify(1 / 1.15);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    });
  }

  fromMiddle(x, y) {
    const box = this.canvas.getBoundingClientRect();
    return [x - box.left - box.width / 2, y - box.top - box.height / 2];
  }

  // One pointer turns, or shifts; two zoom, shift and turn about the line of sight.
  drag(event) {
    const before = this.pointers.get(event.pointerId), now = [event.clientX, event.clientY];
    if (!before) return;
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 1) {
      if (event.shiftKey || event.buttons & 2) this.move(dx, dy);
      else this.turn(0.011 * dx, 0.011 * dy);
    } else if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const was = [before[0] - other[0], before[1] - other[1]], is = [now[0] - other[0], now[1] - other[1]];
      this.magnify(Math.hypot(...is) / Math.max(Math.hypot(...was), 1), this.fromMiddle((now[0] + other[0]) / 2, (now[1] + other[1]) / 2));
      this.move(dx / 2, dy / 2);
      this.turn(0, 0, Math.atan2(was[0] * is[1] - was[1] * is[0], was[0] * is[0] + was[1] * is[1]) * -1);
    }
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const g = cleared(this.canvas), { width, height } = this.canvas, { layers, extent } = this.scene();
      const ratio = width / Math.max(this.canvas.clientWidth, 1);
      this.drawn(paint(g, layers, {
        R: this.R, scale: this.zoom * 0.48 * Math.min(width, 1.3 * height) / extent, extent, theme: currentTheme(),
        x: width / 2 + ratio * this.shift[0], y: height / 2 + ratio * this.shift[1],
      }));
    });
  }
}
