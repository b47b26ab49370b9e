"""What a run looked like, as a file for other programs. One file a format, and a line in `FORMATS`.

A format's module has ``encode(result)``, which says at once what cannot be written and returns the bytes, piece by
piece. The same run gives the same bytes.
"""

from __future__ import annotations

import gzip
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from collsim.errors import InputError
from collsim.results import Result


class Format(NamedTuple):
    """One format.

    Attributes
    ----------
    module : str
        The name of its module in this folder.
    summary : str
        One line for people.
    packed : bool
        Whether gzip comes on top.
    """

    module: str
    summary: str
    packed: bool = False


# By the end of a file's name.
FORMATS: dict[str, Format] = {
    ".json": Format("chrome", "a Chrome trace: open it at https://ui.perfetto.dev"),
    ".json.gz": Format("chrome", "the same, packed; Perfetto opens it as it is", packed=True),
    ".csv": Format("csv", "the timeline as text, one row a move"),
    ".parquet": Format("parquet", "the timeline as a Parquet file, with the unit and meaning of every column"),
}


def write_trace(result: Result, path: str | os.PathLike[str]) -> None:
    """Write the times of a run to a file: when every message left, arrived and was reduced.

    Parameters
    ----------
    result : Result
        A run with the times of its moves. For ``.csv`` and ``.parquet`` one in which all ranks do the same will do: it
        has a row a step.
    path : str or path
        Where to; the end of its name says what is written: ``.json`` (a Chrome trace, for Perfetto), ``.json.gz``,
        ``.csv`` or ``.parquet``.

    Raises
    ------
    InputError
        If the name ends otherwise, the file cannot be written, or the times were not kept.
    MissingDependencyError
        If it is a Parquet file, and pyarrow is not installed.

    Notes
    -----
    What the columns are stands in `collsim.glossary`. The format of the trace: "Trace Event Format", N. Duca and
    D. Sinclair, Google, 2016.

    Examples
    --------
    >>> import collsim as cs, tempfile, pathlib
    >>> result = cs.simulate(cs.make_schedule("all_reduce", "ring", ranks=2), alpha="1us", beta="1ns", nbytes=1000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cs.write_trace(result, f"{folder}/ring.csv")
    ...     print(pathlib.Path(folder, "ring.csv").read_text().splitlines()[1])
    0,0,1,0,1,0,REDUCE,0.0,500.0,0.0,0.0,1.5e-06,1.5e-06,1.5e-06
    """
    target, chosen = check_trace(path)
    pieces = importlib.import_module(f"collsim.formats.{chosen.module}").encode(result)
    try:
        with target.open("wb") as file:
            _write(pieces, file, chosen.packed)
    except OSError as error:
        raise InputError(f"cannot write the trace to {str(path)!r}: {error.strerror or error}") from None


def _write(pieces: Iterator[bytes], file: BinaryIO, packed: bool) -> None:
    if not packed:
        file.writelines(pieces)
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as within:  # no name, no date
        within.writelines(pieces)


def check_trace(path: str | os.PathLike[str]) -> tuple[Path, Format]:
    """Return the path of a trace to be written and its format, or say before any work is done why it cannot be.

    Raises
    ------
    InputError
        If the end of its name is not known, or there is no such folder.
    MissingDependencyError
        If the format needs what is not installed.

    Examples
    --------
    >>> check_trace("ring.JSON.gz")[1].summary
    'the same, packed; Perfetto opens it as it is'
    """
    target = Path(path)
    chosen = next((format for end, format in FORMATS.items() if target.name.lower().endswith(end)), None)
    if chosen is None:
        raise InputError(f"the name of a trace must end in {' or '.join(FORMATS)}, got {str(path)!r}")
    if target.is_dir():
        raise InputError(f"cannot write the trace to {str(path)!r}: it is a folder")
    if not target.parent.is_dir():
        raise InputError(f"cannot write the trace to {str(path)!r}: there is no folder {str(target.parent)!r}")
    require = getattr(importlib.import_module(f"collsim.formats.{chosen.module}"), "require", None)
    if require is not None:
        require()
    return target, chosen
