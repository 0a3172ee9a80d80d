// What each tool does on a pane.

import { panesOf } from "./panes.js";

/**
 * @param {object} view { stage, mask, overlay, state, onTool }: state holds tool, radius, label, only, readOnly
 * @returns tools by name, and `hover` and `leave`
 */
export function makeTools(view) {
  const { stage, overlay } = view;
  const now = (pane) => panesOf(stage).find(({ type }) => type === pane.type) ?? pane;

  const navigate = {
    begin: (pane, at) => stage.goTo(pane.toVoxel(...at)),
    move: (pane, at) => stage.goTo(now(pane).toVoxel(...at)),
  };
  const windowing = {
    move(pane, at, [dx, dy]) {
      const { low, high } = stage.look;
      const width = Math.max(1, high - low + dx * 1.5);
      const level = (low + high) / 2 + dy * 1.5;
      stage.setLook({ low: level - width / 2, high: level + width / 2 });
    },
  };
  const pan = { move: (pane, at, delta) => stage.panBy(pane.toMm(...delta)) };
  const zoom = { move: (pane, at, [, dy]) => stage.zoomBy(Math.exp(-dy * 0.008)) };
  const rotate = { move: (pane, at, [dx, dy]) => stage.rotate(dx * 0.6, dy * 0.6) };

  let last = null;
  const painting = (name) => ({
    begin(pane, at) {
      if (!view.mayEdit()) return;
      const { label, only } = view.state;
      view.mask.begin(name === "erase" ? 0 : label, view.mayChange(only, name));
      last = pane.toVoxel(...at);
      view.mask.paint(pane, last, last, view.state.radius);
      showBrush(pane, at);
    },
    move(pane, at) {
      if (!last) return;
      const next = pane.toVoxel(...at);
      view.mask.paint(pane, last, next, view.state.radius);
      last = next;
      showBrush(pane, at);
    },
    end() {
      if (!last) return;
      last = null;
      view.mask.end();
    },
  });

  let ruler = null;
  const measure = {
    begin(pane, at) {
      const start = pane.toVoxel(...at);
      ruler = { ends: [start, start], text: "", kind: "own" };
      overlay.lines = [...overlay.lines.filter(({ kind }) => kind !== "own"), ruler];
    },
    move(pane, at) {
      ruler.ends = [ruler.ends[0], pane.toVoxel(...at)];
      const [a, b] = ruler.ends;
      const mm = Math.hypot(...a.map((from, axis) => (b[axis] - from) * stage.grid.spacing[axis]));
      ruler.text = `${mm.toFixed(1)} mm`;
      stage.draw();
    },
    end() {
      if (ruler && ruler.text === "") overlay.lines = overlay.lines.filter((line) => line !== ruler);
      ruler = null;
      stage.draw();
    },
  };

  function showBrush(pane, [x, y]) {
    overlay.brush = { type: pane.type, x, y, radius: view.state.radius, kind: view.state.tool };
    overlay.draw();
  }

  return {
    navigate, window: windowing, pan, zoom, rotate, measure,
    brush: painting("brush"),
    erase: painting("erase"),
    hover(pane, at) {
      const paints = view.state.tool === "brush" || view.state.tool === "erase";
      if (pane?.toVoxel && paints) showBrush(pane, at);
      else if (overlay.brush) this.leave();
      view.onHover(pane, pane?.toVoxel?.(...at));
    },
    leave() {
      overlay.brush = null;
      if (stage.grid) overlay.draw();
      view.onHover();
    },
  };
}
