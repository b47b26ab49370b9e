"""The timeline as comma-separated values: `Result.to_frame` as text, every number in full."""

from __future__ import annotations

from collections.abc import Iterator

from collsim.results import Result


def encode(result: Result) -> Iterator[bytes]:
    """Return the file, piece by piece: a line of names, and a line a move; line ends are those of Unix."""
    return iter([result.to_frame().to_csv(index=False, lineterminator="\n").encode()])
