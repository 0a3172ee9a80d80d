// The voxels that the slice shader looks at, on the graphics card.

const CT_UNIT = 12; // NiiVue takes units 0 to 8
const BITS_UNIT = 13;

/** The CT and the byte per voxel beside it (see slice_shader.js). */
export class Textures {
  constructor(gl) {
    this.gl = gl;
    this.ct = null;
    this.bits = null;
  }

  /** Put a study's voxels there; both in RAS+ order. */
  fill(size, hu, bits) {
    const { gl } = this;
    this.size = size;
    this.ct = this.#make(this.ct, CT_UNIT, gl.R16I, size);
    this.bits = this.#make(this.bits, BITS_UNIT, gl.R8UI, size);
    this.#send(CT_UNIT, [0, 0, 0], size, gl.SHORT, hu);
    this.#send(BITS_UNIT, [0, 0, 0], size, gl.UNSIGNED_BYTE, bits);
  }

  /** Send all bytes anew. */
  refresh(bits) {
    this.#send(BITS_UNIT, [0, 0, 0], this.size, this.gl.UNSIGNED_BYTE, bits);
  }

  /** Send a box of bytes anew: from low to high, both included. */
  refreshBox(bits, low, high) {
    const [nx, ny] = this.size;
    const extent = [0, 1, 2].map((axis) => high[axis] - low[axis] + 1);
    const box = new Uint8Array(extent[0] * extent[1] * extent[2]);
    let to = 0;
    for (let z = low[2]; z <= high[2]; z++) {
      for (let y = low[1]; y <= high[1]; y++, to += extent[0]) {
        const from = (z * ny + y) * nx + low[0];
        box.set(bits.subarray(from, from + extent[0]), to);
      }
    }
    this.#send(BITS_UNIT, low, extent, this.gl.UNSIGNED_BYTE, box);
  }

  /** Tell a shader where they are. */
  bind(program) {
    const { gl } = this;
    gl.useProgram(program);
    gl.uniform1i(gl.getUniformLocation(program, "ct"), CT_UNIT);
    gl.uniform1i(gl.getUniformLocation(program, "bits"), BITS_UNIT);
  }

  #make(old, unit, format, size) {
    const { gl } = this;
    if (old) gl.deleteTexture(old);
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) {
      gl.texParameteri(gl.TEXTURE_3D, name, gl.CLAMP_TO_EDGE);
    }
    gl.texStorage3D(gl.TEXTURE_3D, 1, format, ...size);
    gl.activeTexture(gl.TEXTURE0);
    return texture;
  }

  #send(unit, at, extent, type, voxels) {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage3D(gl.TEXTURE_3D, 0, ...at, ...extent, gl.RED_INTEGER, type, voxels);
    gl.activeTexture(gl.TEXTURE0);
  }
}
