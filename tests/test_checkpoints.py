import os

import numpy as np
import pytest
import torch

from renalseg.errors import ModelError
from renalseg.models.checkpoints import load_checkpoint, save_checkpoint


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_checkpoint_that_carries_code_is_refused_and_not_run(tmp_path):
    torch.save({"network_weights": {}, "x": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="not a checkpoint of tensors and plain values"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_numpy_values_become_plain_ones(tmp_path):
    content = {"network_weights": {"w": torch.ones(2)}, "ema": np.float64(0.5), "l": [np.int64(3)]}
    save_checkpoint(content, tmp_path / "c.pth")
    loaded = load_checkpoint(tmp_path / "c.pth")
    assert loaded["ema"] == 0.5
    assert loaded["l"] == [3]
    assert torch.equal(loaded["network_weights"]["w"], torch.ones(2))
    assert [p.name for p in tmp_path.iterdir()] == ["c.pth"]


def test_missing_checkpoint_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="no such checkpoint") as caught:
        load_checkpoint(tmp_path / "c.pth")
    assert "\n" not in str(caught.value)


def test_truncated_checkpoint_is_one_line(tmp_path):
    save_checkpoint({"network_weights": {"w": torch.ones(999)}}, tmp_path / "c.pth")
    (tmp_path / "c.pth").write_bytes((tmp_path / "c.pth").read_bytes()[:500])
    with pytest.raises(ModelError, match="copy it again") as caught:
        load_checkpoint(tmp_path / "c.pth")
    assert "\n" not in str(caught.value)
