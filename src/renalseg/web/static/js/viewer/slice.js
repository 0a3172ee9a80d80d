// One pane's slice: pixels through the window, and labels as outlines over them.

import { css, LABELS } from "../labels.js";
import { contours } from "./contours.js";

const PALE = LABELS.map(({ color }) => css(color.map((part) => Math.round(part + (255 - part) * 0.75))));

/** Keeps what it has drawn: only what has changed is done again. */
export class Slice {
  #version = 0; // of the bytes
  #keys = {};
  #picture = document.createElement("canvas"); // a pixel a voxel

  /** @param {number} depth the axis that it lies across */
  constructor(depth) {
    this.depth = depth;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.clear();
  }

  clear() {
    this.#keys = {};
    this.canvas.hidden = true;
  }

  /** Bytes have changed between two voxels, both included; everywhere if none is given. */
  touch(low, high) {
    if (!low || (low[this.depth] <= this.at && this.at <= high[this.depth])) this.#version++;
  }

  /**
   * @param {object|undefined} pane where it is shown (see panes.js)
   * @param {{grid, hu, bits, look, tones}} stage
   */
  draw(pane, stage) {
    this.canvas.hidden = !pane;
    if (!pane) return;
    const { look } = stage;
    this.at = pane.voxel[this.depth];
    const read = this.#placeOf(pane, stage.grid);
    const isNewSlice = [this.at, this.#version];
    if (this.#isNew("pixels", [...isNewSlice, look.low, look.high, look.uncertainty])) this.#color(read, stage);
    if (this.#isNew("outlines", [...isNewSlice, look.smoothEdges, look.compared])) this.#outline(read, stage);
    const ratio = window.devicePixelRatio || 1;
    const { left, top, width, height, edge, step } = pane;
    const seen = [this.#keys.pixels, this.#keys.outlines, look.fillOpacity, look.lineOpacity, look.shown, left, top, width, height, edge, step, ratio];
    if (this.#isNew("seen", seen)) this.#show(pane, look, ratio);
  }

  #isNew(name, parts) {
    const key = parts.join();
    if (this.#keys[name] === key) return false;
    this.#keys[name] = key;
    return true;
  }

  #placeOf({ across, up }, { size }) {
    const strides = [1, size[0], size[0] * size[1]];
    return { start: this.at * strides[this.depth], across: strides[across], up: strides[up], width: size[across], height: size[up] };
  }

  #color(place, { hu, bits, look, tones }) {
    const { width, height } = place;
    if (this.image?.width !== width || this.image?.height !== height) {
      Object.assign(this.#picture, { width, height });
      this.image = new ImageData(width, height);
    }
    tones.set(look);
    tones.paint(hu, bits, place, new Uint32Array(this.image.data.buffer));
    this.#picture.getContext("2d", { alpha: false }).putImageData(this.image, 0, 0);
  }

  #outline(place, { bits, look }) {
    const { start, across, up, width, height } = place;
    const outlines = (shift) => {
      const labels = new Uint8Array((width + 2) * (height + 2));
      for (let y = 0; y < height; y++) {
        let to = (y + 1) * (width + 2) + 1;
        for (let x = 0, at = start + y * up; x < width; x++, at += across) labels[to++] = (bits[at] >> shift) & 3;
      }
      return contours(labels, width, height, look.smoothEdges > 0);
    };
    this.outlines = outlines(0);
    this.others = look.compared ? outlines(2) : null;
  }

  #show({ left, top, width, height, edge, step }, look, ratio) {
    const { canvas, context } = this;
    Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
    const size = [width, height].map((pixels) => Math.round(pixels * ratio));
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const place = new DOMMatrix([-step[0] * ratio, 0, 0, -step[1] * ratio, (edge[0] - left) * ratio, (edge[1] - top) * ratio]);
    context.setTransform();
    context.globalAlpha = 1;
    context.fillStyle = "#05060a";
    context.fillRect(0, 0, ...size);
    context.setTransform(place);
    context.drawImage(this.#picture, 0, 0);
    context.setTransform();
    context.lineWidth = 2 * ratio;
    context.lineJoin = "round";
    LABELS.forEach(({ value, color }) => {
      if (!look.shown[value]) return;
      const outline = new Path2D();
      outline.addPath(this.outlines[value], place);
      context.fillStyle = context.strokeStyle = css(color);
      context.globalAlpha = look.fillOpacity;
      context.fill(outline);
      context.globalAlpha = look.lineOpacity;
      context.stroke(outline);
    });
    if (!this.others) return;
    context.globalAlpha = 1;
    LABELS.forEach(({ value }, i) => {
      if (!look.shown[value]) return;
      const outline = new Path2D();
      outline.addPath(this.others[value], place);
      context.strokeStyle = PALE[i];
      context.stroke(outline);
    });
  }
}
