// Fetches and unpacks images away from the page, so that it never stands still.

import { gunzip, readNifti } from "./nifti.js";
import { gridOf, toRas } from "./grid.js";

const READERS = { ct: readCt, labels: readLabels, entropy: readEntropy };

onmessage = async ({ data: { id, url, kind } }) => {
  try {
    const file = readNifti(await gunzip(await download(id, url)));
    const grid = gridOf(file.dims, file.affine);
    const voxels = READERS[kind](file, grid);
    postMessage({ id, done: { voxels, grid, header: file.header, little: file.little } }, [voxels.buffer]);
  } catch (error) {
    postMessage({ id, problem: error.message, status: error.status ?? 0 });
  }
};

async function download(id, url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) {
    const { detail } = await response.json().catch(() => ({}));
    throw Object.assign(new Error(detail ?? `the server answered ${response.status}`), { status: response.status });
  }
  const total = Number(response.headers.get("content-length")) || 0;
  const parts = [];
  let received = 0;
  const reader = response.body.getReader();
  for (let told = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    received += value.length;
    if (received - told > 1e6) postMessage({ id, received: (told = received), total });
  }
  return new Blob(parts).arrayBuffer();
}

function readCt(file, grid) {
  const { slope, intercept, voxels } = file;
  const hu = new Int16Array(grid.count);
  if (slope === 1 && intercept === 0 && voxels instanceof Int16Array) return toRas(voxels, hu, grid);
  const limited = (value) => Math.max(-32768, Math.min(32767, Math.round(value * slope + intercept)));
  return toRas(voxels, hu, grid, limited);
}

function readLabels(file, grid) {
  return toRas(file.voxels, new Uint8Array(grid.count), grid);
}

/** Entropy 0 to 1 as 0 to 15. */
function readEntropy(file, grid) {
  const { slope, intercept } = file;
  return toRas(file.voxels, new Uint8Array(grid.count), grid, (value) =>
    Math.max(0, Math.min(15, Math.round((value * slope + intercept) * 15))),
  );
}
