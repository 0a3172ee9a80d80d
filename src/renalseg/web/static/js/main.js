// The page: a list of studies at the left, one of them in the viewer.

import * as api from "./api.js";
import { button, byId, h } from "./dom.js";
import { percent } from "./format.js";
import { showHelp } from "./help.js";
import { problem, say } from "./messages.js";
import { filesOf, group } from "./studies/dropped.js";
import { StudyList } from "./studies/list.js";
import { send } from "./studies/upload.js";

let session;
let list;
let view;
let making; // the view, as soon as somebody has asked for it
let broken; // why no view can be made
let opened; // the id of the study that the view shows or is about to show

async function start() {
  byId("help").append(button("help", "Keys and mouse (?)", showHelp));
  try {
    session = await api.session();
  } catch (error) {
    whole("The page cannot start", error.message);
    return;
  }
  byId("notice").textContent = session.notice;
  byId("who").textContent = [session.user === "local" ? "" : session.user, session.model ? `model ${session.model}` : "", `renalseg ${session.version}`].filter(Boolean).join(" · ");
  const fixed = session.mode === "view";
  document.body.classList.toggle("fixed", fixed);
  list = new StudyList(byId("studies"), { fixed });
  list.addEventListener("choose", ({ id }) => choose(id));
  list.addEventListener("change", ({ study }) => changed(study));
  list.addEventListener("gone", ({ id }) => id === list.chosen && choose(null));
  makePanelButtons();
  if (!fixed) makeDrop();
  list.setAll(await api.studies());
  if (!fixed) api.listen((study) => list.set(study), online);
  const wanted = location.hash.slice(1);
  if (list.studies.has(wanted)) choose(wanted);
  else if (fixed) choose([...list.studies.keys()][0]);
  else state();
  addEventListener("hashchange", () => chooseByAddress());
  addEventListener("beforeunload", (event) => view?.mask?.edited && event.preventDefault());
}

/** The address was changed by hand, or by a link to a study. */
function chooseByAddress() {
  const id = location.hash.slice(1);
  if (id !== list.chosen && list.studies.has(id)) choose(id);
}

/** Show a study: its images when it is done, else how far it is. */
async function choose(id) {
  if (id && id === opened) {
    document.body.classList.remove("list-open");
    return;
  }
  if (view && !(await view.mayClose())) return;
  list.choose(id);
  history.replaceState(null, "", id ? `#${id}` : location.pathname + location.search);
  document.body.classList.remove("list-open");
  const study = list.studies.get(id);
  if (study?.state === "done") {
    await open(study);
  } else {
    opened = null;
    view?.close();
  }
  state();
}

async function open(study) {
  opened = study.id;
  state();
  try {
    view = await (making ??= makeView());
  } catch (error) {
    making = null;
    broken = error instanceof MissingPart ? MISSING : `${error.message} It needs WebGL 2: try another browser, or turn on hardware acceleration.`;
    return;
  }
  broken = null;
  if (opened === study.id) await view.open(study);
}

const MISSING = "NiiVue, which draws the scan, was not installed with renalseg. Install npm (Node.js), then install renalseg again.";
class MissingPart extends Error {}

async function makeView() {
  const [{ StudyView }, { listenToKeys }] = await Promise.all([import("./viewer/study_view.js"), import("./viewer/keyboard.js")]).catch(() => {
    throw new MissingPart();
  });
  const made = await new StudyView(session).start();
  listenToKeys(made, showHelp);
  return made;
}

function changed(study) {
  if (study.id !== list.chosen) return;
  if (study.state === "done" && opened !== study.id) open(study).then(state);
  else if (study.state === "done" && view?.study?.id === study.id) view.refreshed(study);
  state();
}

/** What stands in the middle of the page. */
function state() {
  const study = list.studies.get(list.chosen);
  const shows = study?.state === "done";
  document.body.classList.toggle("viewing", shows);
  byId("viewer").hidden = !shows;
  byId("panel").hidden = !shows;
  byId("waiting").hidden = shows;
  if (!shows) byId("waiting").replaceChildren(study ? waiting(study) : empty());
  else if (broken) whole("The viewer cannot start", broken);
  const warnings = shows ? study.warnings : [];
  byId("warnings").hidden = warnings.length === 0;
  byId("warnings").replaceChildren(h("h2", {}, "Look closely"), ...warnings.map((text) => h("p", { class: "warning" }, text)));
}

function empty() {
  return h(
    "div", { class: "box" },
    h("h1", {}, "Drop a scan here"),
    h("p", {}, "A CT as NIfTI, NRRD or MHA, a folder of DICOM files, or a zip of one. Kidneys, tumors and cysts are outlined and measured."),
    h("p", { class: "row center" }, chooser("upload", "Choose files", { multiple: true }), chooser("folder", "Choose a DICOM folder", { webkitdirectory: true })),
    h("p", { class: "quiet" }, session.user === "local" ? "Scans stay on this computer." : `Scans are seen by you alone, and are deleted after ${session.limits.days_kept} days.`),
  );
}

function waiting(study) {
  const bar = (value) => h("progress", { max: 1, value, "aria-label": `Progress of ${study.name}` });
  const texts = {
    uploading: ["Sending the scan", null],
    queued: ["Waiting for its turn", study.position ? `${study.position} before it.` : "It is next."],
    running: [study.step || "Working", percent(study.progress)],
    failed: ["This scan could not be segmented", study.problem],
    cancelled: ["Cancelled", "Nothing was kept but the scan. Try it again with the arrow in the list."],
  };
  const [title, text] = texts[study.state];
  const moving = ["queued", "running", "uploading"].includes(study.state);
  return h(
    "div", { class: `box ${study.state}` },
    h("h1", {}, study.name), h("h2", {}, title),
    moving ? bar(study.state === "running" ? study.progress : null) : null,
    text ? h("p", { role: moving ? null : "alert" }, text) : null,
    study.state === "failed" ? h("p", { class: "row center" }, h("button", { type: "button", class: "button primary", onclick: () => api.retry(study.id).catch(problem) }, "Try again")) : null,
  );
}

function whole(title, text) {
  byId("viewer").hidden = byId("panel").hidden = true;
  byId("waiting").hidden = false;
  byId("waiting").replaceChildren(h("div", { class: "box", role: "alert" }, h("h1", {}, title), h("p", {}, text)));
}

function chooser(sign, label, attributes) {
  const input = h("input", { type: "file", class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: () => {
    take([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
    input.value = "";
  }, ...attributes });
  return h("span", {}, button(sign, label, () => input.click(), { wide: true, class: "button primary" }), input);
}

function makeDrop() {
  const uncertainty = h("input", { type: "checkbox", id: "with-uncertainty" });
  const profile = h("select", { id: "profile" }, [["balanced", "Balanced"], ["fast", "Fast"], ["exact", "Exact"]].map(([value, text]) => h("option", { value }, text)));
  byId("add").replaceChildren(
    h("div", { class: "row" }, chooser("upload", "Add scans", { multiple: true }), chooser("folder", "DICOM folder", { webkitdirectory: true })),
    h("details", {}, h("summary", {}, "Options for new scans"),
      h("div", { class: "field" }, h("label", { for: "profile" }, "Profile"), profile),
      h("label", { class: "check" }, uncertainty, "Map the uncertainty (slower)")),
  );
  take.options = () => ({ profile: profile.value, uncertainty: uncertainty.checked });
  let depth = 0;
  addEventListener("dragenter", () => document.body.classList.toggle("dropping", ++depth > 0));
  addEventListener("dragleave", () => document.body.classList.toggle("dropping", --depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    document.body.classList.remove("dropping");
    take(await filesOf(event.dataTransfer).catch(() => []));
  });
}

/** Send what was dropped or chosen. */
async function take(files) {
  const { studies, problem: wrong } = group(files);
  if (wrong) say(wrong, "problem");
  for (const [i, study] of studies.entries()) {
    let shown = false;
    try {
      await send(study, take.options(), (id, fraction) => {
        list.sending(id, fraction);
        if (i === 0 && !shown && list.studies.has(id) && !view?.mask?.edited) {
          shown = true;
          choose(id);
        }
      });
    } catch (error) {
      problem(new Error(`${study.name}: ${error.message}`));
    }
  }
}

function makePanelButtons() {
  const toggle = (name) => () => document.body.classList.toggle(name);
  byId("toggles").append(button("list", "Studies", toggle("list-open"), { class: "button square narrow-only" }), button("panel", "Findings and display", toggle("panel-open"), { class: "button square narrow-only viewing-only" }));
}

async function online(yes) {
  const wasGone = !byId("offline").hidden;
  byId("offline").hidden = yes;
  if (yes && wasGone) list.setAll(await api.studies()); // some may have been deleted meanwhile
}

start().catch(problem);
