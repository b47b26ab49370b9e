"""What all tests share: hypothesis that repeats exactly, a seeded generator, a catalog left as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

from collsim.catalog import ALGORITHMS

settings.register_profile("collsim", derandomize=True, deadline=None, database=None, max_examples=100)
settings.load_profile("collsim")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20231122)


@pytest.fixture
def catalog():
    """The table of algorithms, restored afterwards."""
    before = dict(ALGORITHMS)
    yield ALGORITHMS
    ALGORITHMS.clear()
    ALGORITHMS.update(before)
