// What is written over the panes: crosshair, orientation letters, slice numbers, diameters, brush.

import { panesOf } from "./panes.js";
import { RENDER } from "./layout.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 14; // pixels that the crosshair leaves free

/** Draws over the panes whenever the stage has drawn. */
export class Overlay {
  showCrosshair = true;
  /** [{ ends: [voxel, voxel], text, kind }] */
  lines = [];
  /** { pane type, x, y, radius in mm } */
  brush = null;

  constructor(svg, stage) {
    this.svg = svg;
    this.stage = stage;
    this.panes = [];
    this.groups = new Map();
    stage.addEventListener("draw", () => this.draw());
  }

  draw() {
    this.panes = panesOf(this.stage);
    const kept = new Set();
    for (const pane of this.panes) {
      kept.add(pane.key);
      this.#drawPane(this.#group(pane.key), pane);
    }
    for (const [key, group] of this.groups) group.root.style.display = kept.has(key) ? "" : "none";
  }

  #group(key) {
    if (!this.groups.has(key)) {
      const root = element("g", { class: `pane pane-${key}` }, this.svg);
      const clip = element("clipPath", { id: `clip-${key}` }, root);
      const inner = element("g", { "clip-path": `url(#clip-${key})` }, root);
      this.groups.set(key, { root, clip: element("rect", {}, clip), inner, parts: [], used: 0 });
    }
    return this.groups.get(key);
  }

  #drawPane(group, pane) {
    group.used = 0;
    set(group.clip, { x: pane.left, y: pane.top, width: pane.width, height: pane.height });
    const { left, top, width, height } = pane;
    if (pane.type === RENDER) {
      this.#text(group, left + 12, top + 22, "3D", "title");
      this.#finish(group);
      return;
    }
    const small = width < 220 || height < 160;
    const { size } = this.stage.grid;
    if (this.showCrosshair) this.#crosshair(group, pane);
    for (const line of this.lines) this.#line(group, pane, line);
    if (this.brush?.type === pane.type) {
      const radius = this.brush.radius / pane.mmPerPixel;
      this.#part(group, "circle", { cx: this.brush.x, cy: this.brush.y, r: Math.max(2, radius), class: `brush ${this.brush.kind}` });
    }
    // slices are counted as a reader does: axial from the head, coronal from the front, sagittal from the right
    const number = size[pane.depth] - pane.voxel[pane.depth];
    this.#text(group, left + 12, top + 22, `${pane.name} ${number}/${size[pane.depth]}`, "title");
    const { letters } = pane;
    this.#text(group, left + 10, top + height / 2 + 5, letters.left, "letter");
    this.#text(group, left + width - 10, top + height / 2 + 5, letters.right, "letter end");
    this.#text(group, left + width / 2, top + 20, letters.top, "letter middle");
    this.#text(group, left + width / 2, top + height - 10, letters.bottom, "letter middle");
    if (!small) this.#ruler(group, pane);
    this.#finish(group);
  }

  #crosshair(group, pane) {
    const [x, y] = pane.toScreen(pane.voxel);
    const { left, top, width, height } = pane;
    const gap = Math.min(GAP, width / 12);
    for (const [x1, y1, x2, y2] of [
      [left, y, x - gap, y], [x + gap, y, left + width, y], [x, top, x, y - gap], [x, y + gap, x, top + height],
    ]) this.#part(group, "line", { x1, y1, x2, y2, class: "crosshair" });
  }

  #line(group, pane, { ends, text, kind }) {
    const depths = ends.map((end) => end[pane.depth]);
    const onSlice = depths.every((depth) => Math.abs(depth - pane.voxel[pane.depth]) < 0.75);
    if (!onSlice) return;
    const [[x1, y1], [x2, y2]] = ends.map((end) => pane.toScreen(end));
    this.#part(group, "line", { x1, y1, x2, y2, class: `measure halo` });
    this.#part(group, "line", { x1, y1, x2, y2, class: `measure ${kind ?? ""}` });
    for (const [cx, cy] of [[x1, y1], [x2, y2]]) this.#part(group, "circle", { cx, cy, r: 3, class: "measure-end" });
    const [x, y] = x1 > x2 ? [x1, y1] : [x2, y2];
    const room = pane.left + pane.width - x > 90;
    this.#text(group, room ? x + 10 : x - 10, y - 8, text, room ? "length" : "length end");
  }

  #ruler(group, pane) {
    const mm = [100, 50, 20, 10, 5].find((length) => length / pane.mmPerPixel < pane.height * 0.32) ?? 5;
    const length = mm / pane.mmPerPixel;
    const x = pane.left + pane.width - 14;
    const y = pane.top + pane.height - 16;
    this.#part(group, "path", { d: `M${x - 5} ${y - length}H${x}V${y}H${x - 5}`, class: "ruler" });
    this.#text(group, x - 10, y - length / 2 + 4, `${mm / 10} cm`, "small end");
  }

  #text(group, x, y, text, kind) {
    const part = this.#part(group, "text", { x, y, class: kind });
    if (part.textContent !== text) part.textContent = text;
  }

  /** Take the next element of the pane, an old one where its name fits. */
  #part(group, name, attributes) {
    let part = group.parts[group.used];
    if (!part || part.tagName !== name) {
      const made = document.createElementNS(SVG, name);
      if (part) group.inner.replaceChild(made, part);
      else group.inner.append(made);
      part = group.parts[group.used] = made;
    }
    group.used++;
    set(part, attributes);
    return part;
  }

  #finish(group) {
    group.parts.splice(group.used).forEach((part) => part.remove());
  }
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  set(made, attributes);
  parent.append(made);
  return made;
}

function set(part, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    part.setAttribute(name, typeof value === "number" ? value.toFixed(1) : value);
  }
}
