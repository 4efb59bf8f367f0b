"""The tree that the module shows is the one that there is."""

from __future__ import annotations

import inspect
import re

from hybrid_ocr_core import errors
from hybrid_ocr_core.errors import HybridOcrError


def test_the_tree_that_is_shown_has_every_exception() -> None:
    shown = set(re.findall(r"\b[A-Z]\w+", errors.__doc__ or ""))
    there = {
        name
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, HybridOcrError) and found.__module__ == errors.__name__
    }

    assert len(there) > 20
    assert there <= shown
