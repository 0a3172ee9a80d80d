// Which color a voxel has: its HU through the window, and uncertainty over it.

/** Looks colors up; made anew when the window or the uncertainty's opacity changes. */
export class Tones {
  #grays = new Uint8Array(65536); // by HU, negative ones from above
  #colors = new Uint32Array(4096); // by uncertainty (0 to 15) and gray
  #key = "";

  /** @param {{low: number, high: number, uncertainty: number}} look */
  set({ low, high, uncertainty }) {
    const key = [low, high, uncertainty].join();
    if (key === this.#key) return;
    this.#key = key;
    const width = Math.max(1, high - low);
    for (let i = 0; i < 65536; i++) this.#grays[i] = byte((((i << 16) >> 16) - low) / width);
    const pixel = new Uint8ClampedArray(this.#colors.buffer);
    for (let i = 0; i < 4096; i++) {
      const level = (i >> 8) / 15;
      const cover = uncertainty * step(0.02, 0.25, level);
      heat(level).forEach((part, channel) => (pixel[4 * i + channel] = (i & 255) * (1 - cover) + 255 * part * cover));
      pixel[4 * i + 3] = 255;
    }
  }

  /**
   * Color a slice.
   * @param {Int16Array} hu of the whole scan
   * @param {Uint8Array} bits beside it (see mask.js)
   * @param {{start: number, across: number, up: number, width: number, height: number}} slice its first voxel, and how far apart its neighbors are
   * @param {Uint32Array} pixels width x height, for an ImageData
   */
  paint(hu, bits, { start, across, up, width, height }, pixels) {
    const grays = this.#grays;
    const colors = this.#colors;
    let to = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0, at = start + y * up; x < width; x++, at += across) {
        pixels[to++] = colors[((bits[at] & 0xf0) << 4) | grays[hu[at] & 0xffff]];
      }
    }
  }
}

const clamped = (value) => Math.max(0, Math.min(1, value));
const byte = (value) => Math.round(255 * clamped(value));
const heat = (level) => // black, violet, orange, pale yellow
  [2.2 * level, 2.6 * level - 0.9, level < 0.5 ? 1.4 * level : 1.5 - 1.7 * level].map(clamped);

function step(low, high, value) {
  const part = clamped((value - low) / (high - low));
  return part * part * (3 - 2 * part);
}
