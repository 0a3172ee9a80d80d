"""Compiled functions where no disk can be written to keep them."""

import warnings

import pytest
from numba.core import caching

from renalseg.compiled import SlowStartWarning, compiled


def double(number):
    return 2 * number


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setenv("RENALSEG_TOLD_OF_CACHE", "")
    monkeypatch.delenv("RENALSEG_TOLD_OF_CACHE")


def test_without_a_place_it_is_compiled_anew_and_said_once(monkeypatch):
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    with pytest.warns(SlowStartWarning, match="NUMBA_CACHE_DIR"):
        assert compiled()(double)(3) == 6
    assert compiled()(double)(4) == 8  # a warning would be an error


def test_a_full_disk_costs_time_and_nothing_else(monkeypatch, tmp_path):
    def save(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(caching.IndexDataCacheFile, "save", save)
    monkeypatch.setattr(caching.IndexDataCacheFile, "load", lambda *_: None)
    function = compiled()(double)
    with pytest.warns(SlowStartWarning):
        assert function(3) == 6


def test_a_cache_that_cannot_be_read_is_none(monkeypatch):
    def load(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(caching.IndexDataCacheFile, "load", load)
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled()(double)(3) == 6
