"""Draw the method of an experiment as a figure, from its configuration alone.

It made the picture in docs/paper.md.

    python examples/draw_method.py paper.yaml docs/images/method.png
"""

import sys
from pathlib import Path

from renalseg.experiment.config import load_experiment
from renalseg.report.method import Method
from renalseg.report.method_figure import save_method

if __name__ == "__main__":
    config, target = sys.argv[1:]
    save_method(Method.of(load_experiment(config)), Path(target))
