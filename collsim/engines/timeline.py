"""What every engine returns: when each move was ready, started, arrived and finished."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collsim.schedule import Floats, Ints

# The times of a move, in the order of the columns of `Result.to_frame`.
TIMES = ("ready", "start", "sent", "arrive", "finish")


@dataclass(frozen=True, eq=False, repr=False)
class Timeline:
    """Times of every move in seconds since the start, each of shape (moves,).

    Attributes
    ----------
    ready : ndarray
        All that the move waits for has finished, and its ranks have started.
    start : ndarray
        A message leaves (its sender's port, where the model has ports, is its own); work begins.
    arrive : ndarray
        The last byte is there; for work, the same as `start`.
    finish : ndarray
        The receiver has also reduced it, or the work is done.
    sent : ndarray, optional
        The sender is done with it. Under a model where both ends of a move are one (all but LogGP) that is when it
        finishes; then this may be left out.
    ranks_done : ndarray, optional
        When each rank is done with the last of its moves, shape (ranks,), where the engine knows.
    """

    ready: Floats
    start: Floats
    arrive: Floats
    finish: Floats
    sent: Floats = field(default_factory=lambda: np.zeros(0))
    ranks_done: Floats | None = None

    def __post_init__(self) -> None:
        if not len(self.sent):
            object.__setattr__(self, "sent", self.finish)

    def __repr__(self) -> str:
        return f"Timeline(moves={len(self.finish)}, end={self.end:.6g} s)"

    @classmethod
    def unknown(cls, moves: int, *, two_ends: bool = False) -> Timeline:
        """Return a timeline with nothing known yet: every time is NaN; `two_ends`: with a `sent` of its own."""
        return cls(*(np.full(moves, np.nan) for _ in range(5 if two_ends else 4)))

    def at(self, moves: Ints | NDArray[np.int64]) -> Timeline:
        """Return the times of `moves`, which may come several times."""
        sent = () if self.sent is self.finish else (self.sent[moves],)
        return Timeline(self.ready[moves], self.start[moves], self.arrive[moves], self.finish[moves], *sent)

    def rank_ends(self, ranks: int, src: Ints, dst: Ints) -> Floats:
        """Return when each rank is done with the last of its moves, shape (ranks,); 0 if it has none."""
        if self.ranks_done is not None:
            return self.ranks_done
        ends = np.zeros(ranks)
        np.maximum.at(ends, src, self.sent)
        np.maximum.at(ends, dst, self.finish)
        return ends

    @property
    def end(self) -> float:
        """When the last move has finished; 0 if there is none."""
        return float(self.finish.max(initial=0.0))
