"""Surface elements ("surfels"): their areas for a voxel's 2 x 2 x 2 neighbourhood.

A mask's surface passes between the eight voxels around a corner wherever some of them are inside
and some are not. Eight bits, the first voxel's the highest, make the corner's code; marching cubes
gives each code its triangles. Table and area are those of DeepMind's ``surface-distance`` (Nikolov
et al. 2018; Apache-2.0), whose areas do not change when a mask is turned, mirrored or inverted.
"""

import numpy as np

from renalseg.types import AnyArray

#: One letter per code; code 255 - n has the triangles of n, so half of them say it all.
_HALF = (
    "ABBCBDEFBEDFCFFGBHEIEJKLEMNOPQRFBEHIENMOEKJLPRQFCIISPTUIPUTIVPPC"
    "BEEPHJMQEKNRILOFDJNTJWXJNXYNTJNDEKMUMXZMKaXKUKMEFLOIQJMHRKNEPEEB"
)
#: The triangles of each letter: the components of their normals in eighths, without sign.
_TRIANGLES = {
    "A": (),
    "B": ((1, 1, 1),),
    "C": ((2, 2, 0), (2, 2, 0)),
    "D": ((2, 0, 2), (2, 0, 2)),
    "E": ((1, 1, 1), (1, 1, 1)),
    "F": ((1, 1, 1), (2, 2, 2), (4, 0, 0)),
    "G": ((4, 0, 0), (4, 0, 0)),
    "H": ((0, 2, 2), (0, 2, 2)),
    "I": ((0, 4, 0), (1, 1, 1), (2, 2, 2)),
    "J": ((0, 0, 4), (1, 1, 1), (2, 2, 2)),
    "K": ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "L": ((1, 1, 1), (1, 1, 1), (2, 2, 2), (2, 2, 2)),
    "M": ((0, 2, 2), (0, 2, 2), (1, 1, 1)),
    "N": ((1, 1, 1), (2, 0, 2), (2, 0, 2)),
    "O": ((0, 2, 2), (1, 1, 1), (2, 0, 2), (3, 3, 3)),
    "P": ((1, 1, 1), (2, 2, 0), (2, 2, 0)),
    "Q": ((0, 2, 2), (1, 1, 1), (2, 2, 0), (3, 3, 3)),
    "R": ((1, 1, 1), (1, 1, 1), (2, 2, 2), (4, 0, 0)),
    "S": ((0, 4, 0), (0, 4, 0)),
    "T": ((1, 1, 1), (2, 0, 2), (2, 2, 0), (3, 3, 3)),
    "U": ((0, 4, 0), (1, 1, 1), (1, 1, 1), (2, 2, 2)),
    "V": ((2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)),
    "W": ((0, 0, 4), (0, 0, 4)),
    "X": ((0, 0, 4), (1, 1, 1), (1, 1, 1), (2, 2, 2)),
    "Y": ((2, 0, 2), (2, 0, 2), (2, 0, 2), (2, 0, 2)),
    "Z": ((0, 2, 2), (0, 2, 2), (0, 2, 2), (0, 2, 2)),
    "a": ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
}


def surfel_areas_mm2(spacing_mm: tuple[float, float, float]) -> AnyArray:
    """Area of the surface element of each of the 256 codes, in mm².

    Args:
        spacing_mm: Voxel size along the three axes.
    """
    a, b, c = spacing_mm
    faces = np.array([b * c, a * c, a * b])
    areas = {
        letter: sum(float(np.linalg.norm(np.array(t) / 8 * faces)) for t in triangles)
        for letter, triangles in _TRIANGLES.items()
    }
    return np.array([areas[letter] for letter in _HALF + _HALF[::-1]])
