// Mouse, pen and fingers on the panes.
// Left button: the chosen tool. Right: window. Middle, or left with Shift: move. Wheel: scroll;
// with Ctrl: zoom. One finger: the tool; two: move and zoom. Double click: one pane alone.

import { paneAt, panesOf } from "./panes.js";
import { RENDER } from "./layout.js";

export class Pointer {
  #touches = new Map();
  #drag = null;
  #wheel = 0;

  /**
   * @param {HTMLElement} area over the panes
   * @param {Stage} stage
   * @param {object} tools what each tool does: { begin(pane, at), move(pane, at, delta), end(), hover(pane, at) }
   * @param {() => string} chosen name of the tool that the left button has
   */
  constructor(area, stage, tools, chosen) {
    Object.assign(this, { area, stage, tools, chosen });
    area.addEventListener("pointerdown", (event) => this.#down(event));
    area.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, (event) => this.#up(event));
    area.addEventListener("pointerleave", () => this.tools.leave());
    area.addEventListener("wheel", (event) => this.#scroll(event), { passive: false });
    area.addEventListener("contextmenu", (event) => event.preventDefault());
    area.addEventListener("dblclick", (event) => this.#double(event));
  }

  #at(event) {
    const box = this.area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #pane(at) {
    return this.stage.grid ? paneAt(panesOf(this.stage), ...at) : undefined;
  }

  #down(event) {
    const at = this.#at(event);
    if (event.pointerType === "touch") this.#touches.set(event.pointerId, at);
    if (this.#touches.size === 2) {
      this.#end();
      this.#drag = { pinch: this.#pinch(), pane: this.#pane(at) };
      return;
    }
    const pane = this.#pane(at);
    if (!pane) return;
    this.area.setPointerCapture(event.pointerId);
    this.area.focus({ preventScroll: true });
    const name = this.#toolFor(event, pane);
    this.#drag = { name, pane, at };
    this.tools[name].begin?.(pane, at, event);
  }

  #toolFor(event, pane) {
    if (event.button === 1 || (event.button === 0 && event.shiftKey)) return pane.type === RENDER ? "rotate" : "pan";
    if (pane.type === RENDER) return "rotate";
    if (event.button === 2) return "window";
    return this.chosen();
  }

  #move(event) {
    const at = this.#at(event);
    if (this.#touches.has(event.pointerId)) this.#touches.set(event.pointerId, at);
    const drag = this.#drag;
    if (drag?.pinch) {
      this.#pinched();
      return;
    }
    if (!drag) {
      this.tools.hover(this.#pane(at), at);
      return;
    }
    // a pen or mouse reports more places than frames: strokes follow all of them
    const places = drag.name === "brush" || drag.name === "erase" ? (event.getCoalescedEvents?.() ?? []) : [];
    for (const place of [...places.map((each) => this.#at(each)), at]) {
      this.tools[drag.name].move?.(drag.pane, place, [place[0] - drag.at[0], place[1] - drag.at[1]], event);
      drag.at = place;
    }
  }

  #up(event) {
    this.#touches.delete(event.pointerId);
    this.#end();
  }

  #end() {
    const drag = this.#drag;
    this.#drag = null;
    if (drag?.name) this.tools[drag.name].end?.(drag.pane);
  }

  #pinch() {
    const [[x1, y1], [x2, y2]] = [...this.#touches.values()];
    return { middle: [(x1 + x2) / 2, (y1 + y2) / 2], length: Math.hypot(x2 - x1, y2 - y1) };
  }

  #pinched() {
    if (this.#touches.size < 2) return;
    const { pinch: old, pane } = this.#drag;
    const now = this.#pinch();
    this.#drag.pinch = now;
    const factor = now.length / Math.max(1, old.length);
    if (pane?.type === RENDER) {
      this.stage.zoom3d(factor);
    } else if (pane) {
      this.stage.zoomBy(factor);
      this.stage.panBy(pane.toMm(now.middle[0] - old.middle[0], now.middle[1] - old.middle[1]));
    }
  }

  #scroll(event) {
    const pane = this.#pane(this.#at(event));
    if (!pane) return;
    event.preventDefault();
    if (event.ctrlKey || pane.type === RENDER) {
      const factor = Math.exp(-event.deltaY * 0.002);
      if (pane.type === RENDER) this.stage.zoom3d(factor);
      else this.stage.zoomBy(factor);
      return;
    }
    // a wheel's notch is one slice; a touchpad's small steps add up to one
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 40 : 1;
    const step = event.deltaY / unit;
    this.#wheel = Math.sign(step) === Math.sign(this.#wheel) ? this.#wheel + step : step;
    const slices = Math.abs(step) >= 1 ? Math.sign(step) * Math.min(3, Math.floor(Math.abs(step) / 2) || 1) : Math.trunc(this.#wheel);
    if (!slices) return;
    this.#wheel = 0;
    this.stage.scroll(pane.type, -slices);
    this.tools.hover(this.#pane(this.#at(event)), this.#at(event));
  }

  #double(event) {
    const pane = this.#pane(this.#at(event));
    if (!pane || !["navigate", "window", "pan", "zoom"].includes(this.chosen())) return;
    this.stage.setLayout(this.stage.layout.name === pane.key ? this.stage.back ?? "main" : ((this.stage.back = this.stage.layout.name), pane.key));
  }
}
