// From what was dropped or chosen to studies: one image file each, or one folder of DICOM files.

const IMAGE = /\.(nii|nii\.gz|nrrd|mha|zip)$/i;
const IGNORED = /(^|\/)(\.|__MACOSX|DICOMDIR$|Thumbs\.db$)/i;

/** All files of a drop, folders walked through. @returns {Promise<{path: string, file: File}[]>} */
export async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ path: file.name, file }));
  return (await Promise.all(entries.map((entry) => walk(entry)))).flat();
}

async function walk(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return found;
    for (const each of some) found.push(...(await walk(each)));
  }
}

/**
 * Group files into studies.
 * @returns {{studies: {name: string, files: {path: string, file: File}[]}[], problem: string|null}}
 */
export function group(files) {
  const kept = files.filter(({ path, file }) => !IGNORED.test(path) && file.size > 0);
  const studies = kept
    .filter(({ path }) => IMAGE.test(path))
    .map(({ path, file }) => ({ name: nameOf(path), files: [{ path: path.split("/").at(-1), file }] }));
  const folders = new Map();
  for (const each of kept.filter(({ path }) => !IMAGE.test(path))) {
    const top = each.path.includes("/") ? each.path.split("/")[0] : "DICOM";
    if (!folders.has(top)) folders.set(top, []);
    folders.get(top).push(each);
  }
  for (const [name, inside] of folders) studies.push({ name, files: inside });
  const problem = studies.length ? null : "Nothing to read there. Drop a NIfTI, NRRD or MHA file, a DICOM folder, or a zip of one.";
  return { studies, problem };
}

function nameOf(path) {
  return path.split("/").at(-1).replace(IMAGE, "");
}
