// The mask that is shown and edited, a second one to compare with, and uncertainty: one byte a voxel.

import { sweep } from "./brush.js";
import { History } from "./history.js";

const MASK = 0b11;
const OTHER = 0b1100;

/** Holds the bytes, and tells who listens ("change") when strokes change them. */
export class Mask extends EventTarget {
  constructor(grid) {
    super();
    this.grid = grid;
    this.bits = new Uint8Array(grid.count);
    this.history = new History();
    this.counts = [0, 0, 0, 0];
    this.otherCounts = null;
    this.edited = false;
  }

  /** Show a label map (RAS+ order); strokes that were not saved are gone. */
  setLabels(labels) {
    const { bits } = this;
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < bits.length; i++) {
      const label = labels ? labels[i] & MASK : 0;
      counts[label]++;
      bits[i] = (bits[i] & ~MASK) | label;
    }
    this.counts = counts;
    this.history.clear();
    this.edited = false;
    this.#changed();
  }

  /** Compare with another label map, or with none; also counts how much of both is the same. */
  setOther(labels) {
    const { bits } = this;
    for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] & ~OTHER) | (labels ? (labels[i] & MASK) << 2 : 0);
    this.hasOther = Boolean(labels);
    this.#changed();
  }

  /** @param {Uint8Array|null} levels 0 to 15 */
  setUncertainty(levels) {
    const { bits } = this;
    for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] & (MASK | OTHER)) | (levels ? levels[i] << 4 : 0);
    this.#changed();
  }

  /** Dice of both masks for each label; NaN where neither has it. */
  agreement() {
    const mine = [0, 0, 0, 0];
    const theirs = [0, 0, 0, 0];
    const both = [0, 0, 0, 0];
    for (const byte of this.bits) {
      const a = byte & MASK;
      const b = (byte & OTHER) >> 2;
      mine[a]++;
      theirs[b]++;
      if (a === b) both[a]++;
    }
    return [1, 2, 3].map((label) => ({ label, dice: (2 * both[label]) / (mine[label] + theirs[label]), theirs: theirs[label] }));
  }

  labels() {
    return this.bits.map((byte) => byte & MASK);
  }

  labelAt([x, y, z]) {
    return this.bits[(z * this.grid.size[1] + y) * this.grid.size[0] + x] & MASK;
  }

  /** Begin a stroke of a label (0 erases); `only` says which voxels may change. */
  begin(value, only = () => true) {
    this.stroke = { at: [], old: [], value, only };
  }

  /** Go on with a stroke. */
  paint(pane, from, to, radius) {
    const { bits, counts, stroke } = this;
    const low = [Infinity, Infinity, Infinity];
    const high = [-1, -1, -1];
    sweep(pane, from, to, radius, this.grid, (index, x, y, z) => {
      const old = bits[index] & MASK;
      if (old === stroke.value || !stroke.only(index, old)) return;
      stroke.at.push(index);
      stroke.old.push(old);
      bits[index] = (bits[index] & ~MASK) | stroke.value;
      counts[old]--;
      counts[stroke.value]++;
      [x, y, z].forEach((at, axis) => {
        low[axis] = Math.min(low[axis], at);
        high[axis] = Math.max(high[axis], at);
      });
    });
    if (high[0] >= 0) this.#changed(low, high);
  }

  end() {
    const { stroke } = this;
    this.stroke = null;
    if (!stroke?.at.length) return;
    this.history.add(stroke);
    this.edited = true;
    this.dispatchEvent(new Event("stroke"));
  }

  undo() {
    const stroke = this.history.undo();
    if (stroke) this.#put(stroke, (i) => stroke.old[i]);
    this.edited = this.history.canUndo;
    this.dispatchEvent(new Event("stroke"));
  }

  redo() {
    const stroke = this.history.redo();
    if (stroke) this.#put(stroke, () => stroke.value);
    this.edited = this.history.canUndo;
    this.dispatchEvent(new Event("stroke"));
  }

  #put(stroke, valueOf) {
    const { bits, counts } = this;
    const [nx, ny] = this.grid.size;
    const low = [Infinity, Infinity, Infinity];
    const high = [-1, -1, -1];
    stroke.at.forEach((index, i) => {
      const value = valueOf(i);
      counts[bits[index] & MASK]--;
      counts[value]++;
      bits[index] = (bits[index] & ~MASK) | value;
      [index % nx, Math.floor(index / nx) % ny, Math.floor(index / (nx * ny))].forEach((at, axis) => {
        low[axis] = Math.min(low[axis], at);
        high[axis] = Math.max(high[axis], at);
      });
    });
    this.#changed(low, high);
  }

  #changed(low, high) {
    this.dispatchEvent(Object.assign(new Event("change"), { low, high }));
  }
}
