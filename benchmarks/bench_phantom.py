"""Torsos to train on: volumes per second, and that the same seed gives the same voxels.

Volumes of 128 x 128 x 128 voxels of 3 mm, image and labels, made by one process and by two at
once. A network trains no faster than its volumes are made. Every volume is made twice, the second
time in another process, and must be equal to the last bit before times count. ``--shapes`` takes
a folder of real annotations, whose kidneys are then cut (once, not timed), bent and used.

    python benchmarks/bench_phantom.py [--quick] [--json FILE] [--shapes FOLDER]
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"  # a process a core

from renalseg.cohort.phantom.torso import (  # noqa: E402  threads are set before numpy loads
    REALISM,
    ShapeBank,
    TorsoConfig,
    make_torso,
)

WANTED_PER_S = 2.0


def main() -> None:
    """Make volumes in one process and in two, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="Fewer volumes.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--shapes", type=Path, help="A folder in KiTS layout.")
    arguments = parser.parse_args()
    count = 8 if arguments.quick else 40
    config = TorsoConfig(shapes=arguments.shapes)
    if arguments.shapes is not None and arguments.shapes.is_dir():
        start = time.perf_counter()
        stored = Path(tempfile.mkdtemp()) / "shapes"
        ShapeBank.make(arguments.shapes).save(stored)
        print(f"shapes cut in {time.perf_counter() - start:.1f} s")
        config = replace(config, shapes=stored)
    make_torso(config, 0)  # compiles
    first, alone_s, cpu_s = timed(config, count)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(voxels, [config] * 4, [0] * 4))  # both have started and read the shapes
        start = time.perf_counter()
        second = list(pool.map(voxels, [config] * count, range(count)))
        both_s = time.perf_counter() - start
    if config.shapes is not None and config.shapes != arguments.shapes:
        shutil.rmtree(config.shapes.parent)
    if first != second:
        wrong = [n for n, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
        sys.exit(f"volumes {wrong} differ from one process to another")
    if len(set(first)) != count:
        sys.exit("two seeds gave the same volume")
    plain = replace(config, shapes=None, leave_out=frozenset(REALISM))
    _, _, plain_s = timed(plain, max(4, count // 4))
    figures = {
        "volumes": count,
        "one_process_per_s": count / alone_s,
        "two_processes_per_s": count / both_s,
        "cpu_s_per_volume": cpu_s / count,
        "cpu_s_per_volume_without_realism": plain_s / max(4, count // 4),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{count} volumes of 128 x 128 x 128, the same in another process")
    print(f"one process    {figures['one_process_per_s']:6.2f} volumes/s")
    print(f"two processes  {figures['two_processes_per_s']:6.2f} volumes/s")
    free = 2 / figures["cpu_s_per_volume"]
    print(f"processor time {2 / free:6.2f} s a volume: {free:.2f} a second on two free cores")
    print(
        f"ratio: {figures['two_processes_per_s'] / WANTED_PER_S:.2f} of {WANTED_PER_S:.0f} a second"
    )


def timed(config: TorsoConfig, count: int) -> tuple[list[int], float, float]:
    """What was made, seconds, and seconds of the processor."""
    start, cpu = time.perf_counter(), time.process_time()
    made = [voxels(config, index) for index in range(count)]
    return made, time.perf_counter() - start, time.process_time() - cpu


def voxels(config: TorsoConfig, index: int) -> int:
    """A checksum of one volume."""
    torso = make_torso(config, index)
    return zlib.crc32(torso.labels.tobytes(), zlib.crc32(torso.image.tobytes()))


if __name__ == "__main__":
    main()
