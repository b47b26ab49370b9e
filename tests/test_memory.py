"""What would not fit into memory is refused with the number, before anything is allocated."""

from __future__ import annotations

import pytest

import collsim as cs
from collsim.memory import available_bytes, refuse_too_large


def test_what_fits_is_let_through_and_what_does_not_is_refused_with_both_numbers():
    refuse_too_large(1, "a byte", "")
    with pytest.raises(cs.InputError, match=r"a moon would need about \d+ PB of memory, .* are free; use less"):
        refuse_too_large(1e18, "a moon", "use less")


def test_where_the_system_does_not_say_nothing_is_refused(monkeypatch):
    def silent(name):
        raise ValueError(name)

    monkeypatch.setattr("os.sysconf", silent)
    assert available_bytes() is None
    refuse_too_large(1e30, "anything", "")


def test_a_schedule_that_would_not_fit_is_refused_before_it_is_built(monkeypatch):
    with pytest.raises(cs.InputError, match="use fewer ranks"):
        cs.make_schedule("all_reduce", "ring", ranks=10**12)
    monkeypatch.setattr("collsim.schedule.available_bytes", lambda: 10_000)
    monkeypatch.setattr("collsim.memory.available_bytes", lambda: 10_000)
    with pytest.raises(cs.InputError, match=r"more than .* moves would need"):
        cs.make_schedule("all_reduce", "ring", ranks=17)
