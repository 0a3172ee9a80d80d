// Asks the loading worker for an image.

let worker;
let last = 0;
const waiting = new Map();

/**
 * Fetch an image in RAS+ order.
 * @param {string} url of a NIfTI file
 * @param {"ct"|"labels"|"entropy"} kind
 * @param {(fraction: number) => void} [onProgress]
 * @returns {Promise<{voxels: TypedArray, grid: object, header: ArrayBuffer, little: boolean}>}
 */
export function load(url, kind, onProgress = () => {}) {
  worker ??= start();
  const id = ++last;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject, onProgress });
    worker.postMessage({ id, url: new URL(url, document.baseURI).href, kind });
  });
}

function start() {
  const made = new Worker(new URL("./load_worker.js", import.meta.url), { type: "module" });
  made.onmessage = ({ data: { id, done, problem, status, received, total } }) => {
    const { resolve, reject, onProgress } = waiting.get(id);
    if (received !== undefined) {
      onProgress(total ? received / total : 0);
      return;
    }
    waiting.delete(id);
    if (problem === undefined) resolve(done);
    else reject(Object.assign(new Error(problem), { status }));
  };
  made.onerror = () => {
    for (const { reject } of waiting.values()) reject(new Error("the image could not be read; reload the page"));
    waiting.clear();
    worker = undefined;
  };
  return made;
}
