// The panel's part about files to take away.

import * as api from "../api.js";
import { h, icon } from "../dom.js";
import { problem } from "../messages.js";

const FORMATS = {
  nifti: ["NIfTI", "label map, .nii.gz"],
  nrrd: ["NRRD", "label map, .nrrd"],
  seg: ["DICOM SEG", "segmentation object"],
  sr: ["DICOM SR", "measurement report"],
  rtstruct: ["RTSTRUCT", "contours"],
  "dicom-pdf": ["DICOM PDF", "report for a picture archive"],
  pdf: ["PDF", "report to print"],
  html: ["HTML", "report for a browser"],
  csv: ["CSV", "measurements as a table"],
  json: ["JSON", "measurements for programs"],
};
const DICOM = new Set(["seg", "sr", "rtstruct", "dicom-pdf"]);

export class Downloads {
  constructor(element, view, formats) {
    this.view = view;
    this.formats = formats;
    element.replaceChildren(h("h2", {}, "Download"), (this.body = h("div", { class: "downloads" })));
    element.hidden = formats.length === 0;
  }

  update() {
    const { study, state } = this.view;
    const version = state.version === "raw" ? "1" : state.version;
    this.body.replaceChildren(
      ...this.formats.filter((format) => study.is_dicom || !DICOM.has(format)).map((format) => {
        const [name, what] = FORMATS[format] ?? [format.toUpperCase(), "file"];
        return h("a", { class: "button download", href: api.urls.download(study.id, format, version), download: true, title: what, "data-format": format, onclick: (event) => fetchFile(event, name) }, icon("download"), name);
      }),
    );
  }
}

/** Take the file away by script, so that a refusal is shown as what it says. */
async function fetchFile(event, name) {
  event.preventDefault();
  const link = event.currentTarget;
  link.setAttribute("aria-busy", "true");
  try {
    const { blob, filename } = await api.download(link.href);
    const save = h("a", { href: URL.createObjectURL(blob), download: filename ?? name });
    save.click();
    setTimeout(() => URL.revokeObjectURL(save.href), 60_000);
  } catch (error) {
    problem(error);
  } finally {
    link.removeAttribute("aria-busy");
  }
}
