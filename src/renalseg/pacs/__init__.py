"""Studies from and to an archive, over DICOMweb and DIMSE, and a node that segments what it gets.

``node`` is the whole service: ``receive`` takes instances from configured peers, ``queue`` keeps
studies on disk in folders that say how far they are, ``worker`` segments and ``sender`` sends
results. ``pull`` and ``push`` are the two ways of one study; ``dicomweb`` and ``dimse`` are the
protocols below them.
"""
