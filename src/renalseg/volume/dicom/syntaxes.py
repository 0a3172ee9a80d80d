"""Storage classes of CT, and the transfer syntaxes in which their pixels are read.

The node offers these, and no others, for CT.
"""

#: CT Image, Enhanced CT Image, Legacy Converted Enhanced CT Image.
CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",
)

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
#: Implicit VR, little endian, but the pixels are big endian: files of old GE scanners.
GE_BIG_PIXELS = "1.2.840.113619.5.2"
#: Pixels that are not compressed.
NATIVE = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, GE_BIG_PIXELS)
#: What SimpleITK's GDCM decodes.
COMPRESSED = (
    "1.2.840.10008.1.2.4.50",  # JPEG baseline (process 1), 8 bits
    "1.2.840.10008.1.2.4.51",  # JPEG extended (process 2 and 4), 12 bits
    "1.2.840.10008.1.2.4.57",  # JPEG lossless (process 14)
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE lossless
)
#: What a sender may choose from; the private syntax of GE is read from files alone.
READABLE = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, *COMPRESSED)
#: The whole data set is deflated, and would have to be inflated at once, to whatever size.
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")


def name_of(uid: str) -> str:
    """A transfer syntax as people know it, with its UID."""
    from pydicom.uid import UID

    name = str(UID(uid).name)
    return uid if name == uid else f"{name} ({uid})"
