"""The server of the page's tests: its model knows the phantoms that it will be sent.

``serving`` runs it in a process of its own, as ``renalseg serve`` would. What is tested is the
page; what a trained model finds is for other tests.
"""

import subprocess
import sys
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from scipy import ndimage

from renalseg.cohort.phantom import PhantomConfig, make_phantom
from renalseg.errors import CancelledError, VolumeError
from renalseg.postprocess import Cleaning
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume

#: Small enough that a study takes a second, large enough that it looks like a body.
CONFIG = PhantomConfig(in_plane_mm=(2, 2), slice_mm=(4, 4), tumor_mm=(20, 50), seed=7)
TILES = 12


@cache
def phantom(number):
    """A phantom's CT, and what is in it."""
    made = make_phantom(CONFIG, number)
    ct = Volume(made.image, made.affine)
    return ct, ct.like(made.majority())


class Knowing:
    """Finds what is in a phantom, and a speck far from any kidney; takes its time."""

    def __init__(self, seconds, numbers):
        self.seconds = seconds
        self.known = {labels.shape: labels for _, labels in map(phantom, numbers)}

    def segment(self, volume, source, *, on_tile, cancel, uncertainty):
        if volume.shape not in self.known:
            raise VolumeError(f"this model knows no scan of {volume.shape} voxels")
        for done in range(TILES):
            if cancel.is_set():
                raise CancelledError("cancelled")
            on_tile(done, TILES)
            time.sleep(self.seconds / TILES)
        labels = self.known[volume.shape].array.copy()
        rows, columns = (n // 2 for n in labels.shape[1:])
        labels[1:3, rows : rows + 4, columns : columns + 4] = 2
        entropy = volume.like(_undecided(labels)) if uncertainty else None
        return Segmentation(volume.like(labels), ("phantoms",), entropy=entropy)


def _undecided(labels):
    """High where labels meet."""
    smooth = ndimage.gaussian_filter((labels > 0).astype(np.float32), 1.5)
    return (4 * smooth * (1 - smooth)).astype(np.float32)


@contextmanager
def serving(data, numbers, *, seconds=1.0):
    """A server; gives its address."""
    command = [sys.executable, __file__, str(data), str(seconds), *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()
            child.wait(20)


def main(data, seconds, *numbers):
    from renalseg.web.job import Engine
    from renalseg.web.serve import serve
    from renalseg.web.settings import Limits, Settings

    engine = Engine(Knowing(float(seconds), map(int, numbers)), Cleaning())
    settings = Settings(
        model=Path("phantoms"), data=Path(data), port=0, limits=Limits(reserve_mb=0)
    )
    serve(settings, lambda url: print(url, flush=True), load=lambda profile: engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
