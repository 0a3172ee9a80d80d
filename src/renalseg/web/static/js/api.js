// The server, as functions. Addresses are relative to the page, so that a proxy may add a folder.

let csrf = "";

/** An answer that says no; its message is one line that says what to do. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function request(path, { method = "GET", body, type } = {}) {
  const headers = {};
  if (method !== "GET") headers["X-Renalseg-CSRF"] = csrf;
  if (type) headers["Content-Type"] = type;
  let response;
  try {
    response = await fetch(path, { method, body, headers, credentials: "same-origin" });
  } catch {
    throw new ApiError("The server does not answer. Is it still running?", 0);
  }
  if (!response.ok) throw new ApiError(await problemOf(response), response.status);
  return response.status === 204 || response.status === 202 && !response.headers.get("content-type") ? null : response.json();
}

async function problemOf(response) {
  const { detail } = await response.json().catch(() => ({}));
  return typeof detail === "string" ? detail : `The server answered ${response.status}.`;
}

const post = (path, value) =>
  request(path, { method: "POST", body: value === undefined ? undefined : JSON.stringify(value), type: value === undefined ? undefined : "application/json" });

export async function session() {
  const answer = await request("api/session");
  csrf = answer.csrf;
  return answer;
}

export const studies = () => request("api/studies");
export const study = (id) => request(`api/studies/${id}`);
export const create = (name, options) => post("api/studies", { name, options });
export const start = (id) => post(`api/studies/${id}/start`);
export const cancel = (id) => post(`api/studies/${id}/cancel`);
export const retry = (id) => post(`api/studies/${id}/retry`);
export const remove = (id) => request(`api/studies/${id}`, { method: "DELETE" });
export const measurements = (id, version) => request(`api/studies/${id}/measurements?version=${version}`);
export const saveMask = (id, from, body) =>
  request(`api/studies/${id}/masks?from=${from}`, { method: "POST", body, type: "application/gzip" });

export const urls = {
  thumbnail: (id) => `api/studies/${id}/thumbnail.webp`,
  image: (id) => `api/studies/${id}/image.nii.gz`,
  mask: (id, version) => `api/studies/${id}/masks/${version}.nii.gz`,
  entropy: (id) => `api/studies/${id}/entropy.nii.gz`,
  download: (id, format, version) => `api/studies/${id}/download/${format}?version=${version}`,
};

/** A file to take away, with the name that the server gives it. */
export async function download(address) {
  const response = await fetch(address, { credentials: "same-origin" });
  if (!response.ok) throw new ApiError(await problemOf(response), response.status);
  const [, filename] = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "") ?? [];
  return { blob: await response.blob(), filename };
}

/** Send a file; fetch cannot tell how far it is, so this is the older way. */
export function putFile(id, path, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const sender = new XMLHttpRequest();
    sender.open("PUT", `api/studies/${id}/files?path=${encodeURIComponent(path)}`);
    sender.setRequestHeader("X-Renalseg-CSRF", csrf);
    sender.setRequestHeader("Content-Type", "application/octet-stream");
    sender.upload.onprogress = ({ loaded }) => onProgress(loaded);
    sender.onerror = () => reject(new ApiError("The connection was lost while the scan was sent. Drop it again.", 0));
    sender.onabort = () => reject(new ApiError("Cancelled.", 0));
    sender.onload = () => {
      if (sender.status < 300) return resolve();
      let detail;
      try {
        ({ detail } = JSON.parse(sender.responseText));
      } catch { /* not JSON: the number has to do */ }
      reject(new ApiError(typeof detail === "string" ? detail : `The server answered ${sender.status}.`, sender.status));
    };
    signal?.addEventListener("abort", () => sender.abort());
    sender.send(file);
  });
}

const AGAIN_AFTER_MS = 5000;

/** Listen to studies that change; a connection that is lost is made again. */
export function listen(onStudy, onState) {
  const source = new EventSource("api/events");
  source.addEventListener("study", ({ data }) => onStudy(JSON.parse(data)));
  source.onopen = () => onState(true);
  source.onerror = () => {
    onState(false);
    // the browser tries again by itself, but not after an answer that says no
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(onStudy, onState), AGAIN_AFTER_MS);
  };
}
