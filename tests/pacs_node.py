"""What the node's tests share: a quick stand-in for segmenting, and nodes that can be killed."""

import logging
import multiprocessing
import socket
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from dicom_phantom import make_series, make_volume, uid, write_series
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.node import Node

RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
#: Where every wait of these tests ends.
PATIENCE_S = 15
FAST = {"quiet_s": 0.3, "retry_s": (0.1, 0.2), "reserve_gb": 0, "timeout_s": 5}


def study(number, folder, slices=4, syntax="explicit"):
    """Files of a CT study, and its UID."""
    made = make_series(make_volume((slices, 12, 16)), series=number, syntax=syntax)
    for one in made.datasets:
        one.StudyInstanceUID = uid("study", number)
    return write_series(made.datasets, folder), uid("study", number)


def quick(images, made):
    """In place of a segmentation: an object of the same study that says how many images it saw.

    It waits as long as a file ``hold`` stands beside the queue.
    """
    beside = images.parents[3]
    with (beside / "starts").open("a") as starts:
        starts.write(f"{images.parent.name}\n")
    while (beside / "hold").exists():
        time.sleep(0.02)
    files = sorted(images.iterdir())
    first = dcmread(files[0], stop_before_pixels=True)
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.SOPClassUID = result.file_meta.MediaStorageSOPClassUID = RAW_DATA
    result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    result.SeriesInstanceUID = generate_uid()
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName"):
        result[keyword] = first[keyword]
    result.Modality, result.InstanceNumber = "OT", str(len(files))
    path = made / "result.dcm"
    result.save_as(path, enforce_file_format=True)
    return [path]


def run(config, log):
    """A node in this process, until it is killed."""
    logging.getLogger().addHandler(logging.FileHandler(log))
    logging.getLogger().setLevel(logging.INFO)
    with Node(config, quick) as node:
        node.wait()


class Killable:
    """A node in a process of its own.

    Attributes:
        config: Its configuration.
        folder: Where its queue is, and its log.
    """

    # forks of a server that has loaded everything: a node starts in a fraction of a second
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pacs_node", "renalseg.pacs.dimse", "pynetdicom"])

    def __init__(self, config, folder):
        self.config, self.folder, self.process = config, folder, None

    def start(self):
        log = self.folder / "node.log"
        self.process = self.context.Process(target=run, args=(self.config, log), daemon=True)
        self.process.start()
        wait(lambda: answers(self.config.port))

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def keys(self, stage):
        folder = self.config.queue / stage
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def starts(self):
        path = self.folder / "starts"
        return path.read_text().split() if path.exists() else []

    @contextmanager
    def holding(self):
        """Let no study be finished meanwhile."""
        (self.folder / "hold").touch()
        try:
            yield
        finally:
            (self.folder / "hold").unlink(missing_ok=True)


def answers(port):
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait(what, patience_s=PATIENCE_S):
    """Wait until something holds; gives it."""
    end = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


def as_peer(config):
    """A node, as others see it."""
    return Peer(ae_title=config.ae_title, host=config.host, port=config.port)


def caller(title="ARCHIVE", **more):
    """Somebody who sends to a node."""
    return NodeConfig(ae_title=title, timeout_s=5, **more)


def leftovers(root: Path):
    """Files of a queue that are in no study."""
    return [path for name in ("parts", "trash") for path in (root / name).iterdir()]
