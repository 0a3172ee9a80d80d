// What is on the stage: three slices and the 3D pane, where they lie, and the place that all show.

import { Layout, RENDER } from "./layout.js";
import { panesOf } from "./panes.js";
import { Slice } from "./slice.js";
import { Solid } from "./solid.js";
import { Tones } from "./tones.js";

const REST_MS = 150; // the 3D pane's crosshair follows when scrolling rests: drawing it may take long

/** Places in the study are voxels of the RAS+ grid. */
export class Stage extends EventTarget {
  #waiting = 0;
  #resting = 0;

  /** @param {HTMLElement} area @param {HTMLElement} frame of the 3D pane, within the area */
  constructor(area, frame) {
    super();
    this.area = area;
    this.solid = new Solid(frame);
    this.slices = [2, 1, 0].map((depth) => new Slice(depth));
    this.slices.forEach(({ canvas }) => frame.before(canvas));
    this.tones = new Tones();
    this.layout = new Layout();
    this.boxes = [];
    this.look = {
      low: -160, high: 240, fillOpacity: 0.35, lineOpacity: 1, smoothEdges: 1,
      uncertainty: 0, compared: 0, shown: [0, 1, 1, 1],
    };
    this.grid = null;
  }

  async start() {
    await this.solid.start();
    new ResizeObserver(() => this.arrange()).observe(this.area);
  }

  /** Show a study; `bits` is looked at again whenever `refreshBits` is called. */
  async show(grid, hu, bits) {
    await this.solid.show(grid);
    Object.assign(this, { grid, hu, bits });
    this.slices.forEach((slice) => slice.touch());
    this.resetView();
    this.goTo(grid.size.map((n) => Math.floor(n / 2)));
  }

  clear() {
    this.grid = this.hu = this.bits = null;
    this.solid.clear();
    this.slices.forEach((slice) => slice.clear());
  }

  /** Draw what has changed in the next frame. */
  draw() {
    if (this.#waiting) return;
    this.#waiting = requestAnimationFrame(() => {
      this.#waiting = 0;
      if (!this.grid) return;
      const panes = panesOf(this);
      this.slices.forEach((slice) => slice.draw(panes.find(({ depth }) => depth === slice.depth), this));
      this.solid.draw();
      this.dispatchEvent(new Event("draw"));
    });
  }

  /** Change how it looks: window, opacities, what is shown. */
  setLook(change) {
    Object.assign(this.look, change);
    this.draw();
    this.dispatchEvent(new Event("look"));
  }

  /** Bytes have changed between two voxels, or everywhere. */
  refreshBits(low, high) {
    this.slices.forEach((slice) => slice.touch(low, high));
    this.draw();
  }

  arrange() {
    const { clientWidth, clientHeight } = this.area;
    if (!clientWidth || !clientHeight) return;
    this.boxes = this.layout.boxes(clientWidth, clientHeight);
    this.solid.place(this.boxes.find(({ type }) => type === RENDER));
    this.draw();
  }

  setLayout(name) {
    this.layout.name = name;
    this.arrange();
    this.dispatchEvent(new Event("layout"));
  }

  /** The voxel under the crosshair. */
  get voxel() {
    return [...this.at];
  }

  /** Move the crosshair to the middle of a voxel. */
  goTo(voxel) {
    const { size } = this.grid;
    this.at = voxel.map((at, axis) => Math.max(0, Math.min(size[axis] - 1, Math.round(at))));
    this.draw();
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#point(), REST_MS);
    this.dispatchEvent(new Event("move"));
  }

  #point() {
    if (!this.grid) return;
    this.solid.point(this.at.map((at, axis) => (at + 0.5) / this.grid.size[axis]));
    this.draw();
  }

  /** Scroll through the slices of a pane: 0 axial, 1 coronal, 2 sagittal. */
  scroll(pane, by) {
    const voxel = this.voxel;
    voxel[2 - pane] += by;
    this.goTo(voxel);
  }

  get zoom() {
    return this.view.zoom;
  }

  /** Zoom the slices by a factor; the crosshair keeps its place. */
  zoomBy(factor) {
    const { middle, zoom: old } = this.view;
    const zoom = Math.max(0.5, Math.min(20, old * factor));
    const at = this.at.map((voxel, axis) => (voxel + 0.5) * this.grid.spacing[axis]);
    this.view = { zoom, middle: at.map((mm, axis) => mm - ((mm - middle[axis]) * old) / zoom) };
    this.draw();
  }

  /** Move the slices by mm along the voxels' axes. */
  panBy(mm) {
    this.view = { ...this.view, middle: this.view.middle.map((at, axis) => at - mm[axis]) };
    this.draw();
  }

  resetView() {
    const { size, spacing } = this.grid;
    this.view = { zoom: 1, middle: size.map((n, axis) => (n * spacing[axis]) / 2) };
    this.solid.resetView();
    this.draw();
  }

  rotate(dx, dy) {
    this.solid.rotate(dx, dy);
    this.draw();
  }

  zoom3d(factor) {
    this.solid.zoomBy(factor);
    this.draw();
  }

  setSurfaces(surfaces) {
    this.solid.setSurfaces(surfaces);
    this.draw();
  }

  showSurfaces(shown) {
    this.solid.showSurfaces(shown);
    this.draw();
  }

  showCrosshair3d(on) {
    this.solid.showCrosshair(on);
    this.draw();
  }

  /** HU of a voxel. */
  huAt([x, y, z]) {
    const [nx, ny] = this.grid.size;
    return this.hu[(z * ny + y) * nx + x];
  }
}
