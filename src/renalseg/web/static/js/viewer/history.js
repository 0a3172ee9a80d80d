// Undo and redo of changed voxels.

const DEPTH = 100;

/** Remembers which voxels each stroke changed. */
export class History {
  #done = [];
  #undone = [];

  /** @param {{at: number[], old: number[], value: number}} stroke */
  add(stroke) {
    if (!stroke.at.length) return;
    this.#done.push(stroke);
    if (this.#done.length > DEPTH) this.#done.shift();
    this.#undone = [];
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  /** @returns the stroke to take back */
  undo() {
    const stroke = this.#done.pop();
    if (stroke) this.#undone.push(stroke);
    return stroke;
  }

  /** @returns the stroke to do again */
  redo() {
    const stroke = this.#undone.pop();
    if (stroke) this.#done.push(stroke);
    return stroke;
  }

  clear() {
    this.#done = [];
    this.#undone = [];
  }
}
