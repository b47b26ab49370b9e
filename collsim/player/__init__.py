"""The player: one page that shows runs as they happen, without a network, opened from disk.

The data is made here from results (`collsim.player.data`); how it looks and moves is in `player.css` and `player.js`,
which are put into `page.html` as they are.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from importlib import resources

from collsim.errors import InputError
from collsim.player.data import player_data
from collsim.results import Result

MOST_RUNS = 4


def player_page(results: Result | Sequence[Result], *, title: str | None = None) -> str:
    """Return a page that plays runs: messages on their routes, what buffers hold, a timeline.

    Parameters
    ----------
    results : Result or sequence of Result
        What to show; up to four runs side by side, on one clock. They need the times of their moves.
    title : str, optional
        Default: what was run.

    Returns
    -------
    str
        HTML, complete in itself: it asks for nothing from a network and opens from disk. The same runs give the
        same text. Of a run with more than some thousand messages it shows a part, says which, and holds no more.

    Raises
    ------
    InputError
        If there is no result or there are too many, or the times of single moves were not kept.

    Examples
    --------
    >>> import collsim as cs
    >>> net = cs.star(4, bandwidth="10GB/s", latency="5us")
    >>> runs = [cs.simulate(cs.make_schedule("all_reduce", name, 4), net, "4MB") for name in ("ring", "tree")]
    >>> page = player_page(runs)
    >>> page[:15], "http" in page
    ('<!doctype html>', False)
    """
    runs = [results] if isinstance(results, Result) else list(results)
    if not 1 <= len(runs) <= MOST_RUNS:
        raise InputError(f"a page shows 1 to {MOST_RUNS} runs side by side, got {len(runs)}")
    data = [player_data(run) for run in runs]
    if title is None:
        title = "; ".join(
            f"{name}: {', '.join(run['algorithm'] for run in data if run['collective'] == name)}"
            for name in dict.fromkeys(run["collective"] for run in data)
        )
    text = json.dumps({"title": title, "runs": data}, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    folder = resources.files(__name__)
    parts = {
        "title": html.escape(title),
        "style": (folder / "player.css").read_text(encoding="utf-8"),
        # Within <script> nothing is escaped but what could end it, or begin a comment.
        "data": text.replace("<", "\\u003c"),
        "script": (folder / "player.js").read_text(encoding="utf-8"),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    # In one go: what is put in may look like a place itself.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)
