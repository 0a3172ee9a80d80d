// Sends studies to the server, one after the other; many small files of one study side by side.

import * as api from "../api.js";

const SIDE_BY_SIDE = 4;

/**
 * Send one study and start it.
 * @param {{name: string, files: {path: string, file: File}[]}} study
 * @param {object} options for the server
 * @param {(id: string, fraction: number) => void} onProgress
 */
export async function send(study, options, onProgress) {
  const { id } = await api.create(study.name, options);
  const total = study.files.reduce((sum, { file }) => sum + file.size, 0) || 1;
  const sent = study.files.map(() => 0);
  onProgress(id, 0);
  try {
    let next = 0;
    const worker = async () => {
      while (next < study.files.length) {
        const i = next++;
        const { path, file } = study.files[i];
        await api.putFile(id, path, file, (loaded) => {
          sent[i] = Math.min(loaded, file.size);
          onProgress(id, sent.reduce((sum, part) => sum + part, 0) / total);
        });
        sent[i] = file.size;
      }
    };
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
    await api.start(id);
  } catch (error) {
    await api.remove(id).catch(() => {}); // nothing half-sent stays in the list
    throw error;
  }
  return id;
}
