"""Pictures as files: SVG and PNG, the same bytes for the same picture."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collsim.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a file of that kind must not contain, so that the same picture is the same bytes.
FORMATS: dict[str, dict[str, Any]] = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as SVG or PNG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or path
        Where to; its suffix, ``.svg`` or ``.png``, says what.

    Raises
    ------
    InputError
        If the suffix is another, or the file cannot be written.
    """
    target = check_target(path)
    import matplotlib

    buffer = BytesIO()
    suffix = target.suffix.lower()
    with matplotlib.rc_context({"svg.hashsalt": "collsim"}):
        figure.savefig(buffer, format=suffix[1:], metadata=FORMATS[suffix], bbox_inches="tight", pad_inches=0.12)
    try:
        target.write_bytes(buffer.getvalue())
    except OSError as error:
        raise InputError(f"cannot write the picture to {str(path)!r}: {error.strerror}") from None


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a picture to be written, or say before any work is done why it cannot be.

    Raises
    ------
    InputError
        If the suffix is not known, or there is no such folder.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> check_target("scaling.svg").name
    'scaling.svg'
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"a picture must be an .svg or a .png file, got {str(path)!r}")
    if target.is_dir():
        raise InputError(f"cannot write the picture to {str(path)!r}: it is a folder")
    if not target.parent.is_dir():
        raise InputError(f"cannot write the picture to {str(path)!r}: there is no folder {str(target.parent)!r}")
    require_matplotlib()
    return target


def require_matplotlib() -> None:
    """Raise a `MissingDependencyError` that says how to install matplotlib, unless it can be imported."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"pictures need matplotlib ({error}); install it with: pip install 'collsim[plot]'"
        ) from None
