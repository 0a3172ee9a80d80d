"""On installing: the page's library goes from npm into the package (see ``web/build.py``)."""

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Copies NiiVue into ``src/renalseg/web/static/vendor``, which git does not keep."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page; where that cannot be, everything but the viewer is installed."""
        script = Path(self.root) / "web" / "build.py"
        if not script.is_file():
            return
        spec = importlib.util.spec_from_file_location("renalseg_page", script)
        assert spec is not None
        assert spec.loader is not None
        page = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(page)
        try:
            page.build()
        except (OSError, page.BuildError) as error:
            self.app.display_warning(
                f"the viewer of `renalseg serve` and `renalseg view` is left out: {error}. "
                "Install npm (Node.js 18 or newer) and install renalseg again."
            )
