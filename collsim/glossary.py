"""What every column and field is: its unit and its meaning, one line each.

`GLOSSARY` has a table for everything that collsim returns as named figures. The tests hold that nothing is returned
that does not stand here, and that nothing stands here that is not returned.
"""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """One column, or one field of a JSON object.

    Attributes
    ----------
    unit : str
        ``s``, ``B``, ``B/s``; empty for names, numbers of things and numbers without a dimension.
    meaning : str
        A line about it.
    """

    unit: str
    meaning: str


_FIRST = "the first is 0"

# What stands where: a table's name, and a line about it.
TABLES: dict[str, str] = {
    "run": "one run: `collsim run --json`, a row of `collsim sweep` and of `cs.sweep`, `Result.to_dict()`",
    "check": "what `collsim run --check --json` has besides",
    "moves": "one move of a run: `Result.to_frame()`, and its CSV and Parquet files",
    "steps": "one step of a run in which all ranks do the same: `SymmetricResult.to_frame()`",
    "explanation": "why a run took that long: `collsim explain --json`, `Explanation.to_dict()`",
    "path": "one move on the critical path: `Explanation.to_frame()`, and `path` of `collsim explain --moves --json`",
    "waits": "one place where the path waits: `waits` of an explanation",
    "busiest": "one link or rank: `busiest_links` and `busiest_ranks` of an explanation",
}

_SCHEDULE = {
    "step": Column("", f"number of the step; {_FIRST}"),
    "src": Column("", f"the rank that sends, or computes; {_FIRST}"),
    "dst": Column("", "the rank that receives; for local work the same as src"),
    "chunk": Column("", f"the first chunk that is sent; {_FIRST}"),
    "count": Column("", "how many neighbouring chunks are sent, from `chunk` on"),
    "message": Column("", "number of the message; rows that are packed into one message have the same"),
    "op": Column("", "COPY (replaces what is there), REDUCE (is combined with it) or COMPUTE (local work)"),
    "seconds": Column("s", "how long local work takes; 0 for messages"),
}

_RUN = {
    "collective": Column("", "what was carried out, such as all_reduce"),
    "algorithm": Column("", "how, such as ring"),
    "ranks": Column("", "number of ranks, K"),
    "size_bytes": Column("B", "size of the whole vector, as nccl-tests means it (of all_gather: all parts together)"),
    "topology": Column("", "name of the network; none if alpha and beta were given"),
}
_HOW = {
    "model": Column("", "how messages share the network: alpha-beta, loggp, maxmin or fifo"),
    "ordering": Column("", "what a move waits for: step, dataflow or explicit"),
    "time_s": Column("s", "from the start until the last rank has finished"),
}
_BOUND = {
    "lower_bound_s": Column("s", "the largest time that no algorithm can beat, as far as is known"),
    "lower_bound_kind": Column(
        "", "what it comes from: latency, injection, cut, partition, distance, reduction, start or none"
    ),
    "lower_bound_reason": Column("", "the same in words, with the figures"),
}
_PARTS = (  # of a critical path: `collsim.critical_path.PARTS` says what each is
    "latency",
    "serialisation",
    "store-and-forward",
    "sharing",
    "port",
    "late rank",
    "reduction",
    "compute",
    "overhead",
)

GLOSSARY: dict[str, dict[str, Column]] = {
    "run": {
        **_RUN,
        "placement": Column("", "which rank sits where on the network; linear if in its order"),
        "model": _HOW["model"],
        "engine": Column("", "what simulated it; all that can do it give the same times"),
        "ordering": _HOW["ordering"],
        "time_s": _HOW["time_s"],
        "algbw_Bps": Column("B/s", "size over time; none if it is infinite"),
        "busbw_Bps": Column("B/s", "algbw times the collective's factor (nccl-tests): comparable with a link's rate"),
        "steps": Column("", "number of steps of the schedule"),
        "messages": Column("", "number of messages of all ranks together"),
        "wire_bytes": Column("B", "sum of the sizes of all messages, headers included"),
        "max_sent_bytes": Column("B", "the most that one rank sends, headers included"),
        "messages_between_groups": Column("", "messages from one group of the network (node, leaf switch) to another"),
        "bytes_between_groups": Column("B", "the bytes of those, headers included"),
        **_BOUND,
        "efficiency": Column("", "lower bound over time: 1 is the best possible"),
        "wall_s": Column("s", "how long the simulation itself took, on the clock"),
    },
    "check": {
        "max_abs_error": Column("", "largest difference of an element from the exact result, in units of the data"),
        "relative_error": Column("", "norm of the difference over norm of the exact result, of the worst rank"),
        "max_ulp": Column("ulp", "largest difference in units in the last place of the exact result"),
        "ranks_agree": Column("", "whether ranks that are promised the same hold the same bits"),
        "verified": Column("", "whether each contribution is counted exactly once, for every input"),
    },
    "moves": {
        **_SCHEDULE,
        "nbytes": Column("B", "payload of the row, without header; a fraction if the vector does not divide"),
        "ready_s": Column("s", "all that the move waits for has finished, and its ranks have started"),
        "start_s": Column("s", "the message leaves; work begins"),
        "sent_s": Column("s", "the sender is done with it (earlier than it finishes only under loggp)"),
        "arrive_s": Column("s", "its last byte is there; for work the same as start_s"),
        "finish_s": Column("s", "its receiver has also reduced it; work is done"),
    },
    "steps": {
        "step": _SCHEDULE["step"],
        "messages": Column("", "number of messages that every rank sends in it"),
        "nbytes": Column("B", "bytes that every rank sends in it, without headers"),
        "op": _SCHEDULE["op"],
        "start_s": Column("s", "all ranks begin it"),
        "finish_s": Column("s", "all ranks have finished it"),
    },
    "explanation": {
        **_RUN,
        **_HOW,
        "parts_s": Column("s", "of the critical path, by what it was spent on; they add up to time_s exactly"),
        "moves_on_path": Column("", "number of moves on the critical path, which is what the last rank waited for"),
        "waits": Column("", "where the path waits, longest first"),
        "busiest_links": Column("", "the links that carry most of what they could (at most five); none without any"),
        "busiest_ranks": Column("", "the ranks that are busy longest (at most five)"),
        **_BOUND,
        "gap_s": Column("s", "time less the lower bound; negative if the schedule does not do what it promises"),
        "gap_parts_s": Column("s", "what the gap consists of; they add up to gap_s exactly"),
        "rule": Column("", "the name of the rule that gave the advice"),
        "advice": Column("", "a sentence on what to change; other algorithms that it names were simulated"),
        "path": Column("", "the critical path, move by move (with --moves)"),
    },
    "path": {
        "row": Column("", "the first row of the move in the schedule; -1 before a rank has started"),
        "step": _SCHEDULE["step"],
        "src": _SCHEDULE["src"],
        "dst": _SCHEDULE["dst"],
        "chunk": _SCHEDULE["chunk"],
        "op": Column("", "COPY, REDUCE or COMPUTE; START of a rank that starts late"),
        "start_s": Column("s", "the path enters it: what it waited for has finished"),
        "finish_s": Column("s", "the path leaves it: the next move can begin"),
        "because": Column("", "what it waited for before start_s, in words"),
        **{f"{part.replace(' ', '_').replace('-', '_')}_s": Column("s", f"its {part}") for part in _PARTS},
        "parts_s": Column("s", "in JSON in place of these columns: the parts that it has, by name"),
        "others": Column("", "in JSON: first rows of those that it shared with, or waited for"),
    },
    "waits": {
        "part": Column("", "sharing, port or late rank"),
        "where": Column("", "the link, or the part of a rank"),
        "seconds": Column("s", "how long the path waits there, all together"),
        "rows": Column("", "first rows of those that were there meanwhile"),
    },
    "busiest": {
        "name": Column("", "the link or rank"),
        "utilisation": Column(
            "", "of a link what it carries over what it could carry in that time; of a rank busy_s over time_s"
        ),
        "busy_s": Column("s", "while it has at least one message; of a rank also while it reduces or computes"),
        "bytes": Column("B", "carried, headers included; of a rank sent and received"),
        "messages": Column("", "number of messages; of a rank sent and received"),
        "most_at_once": Column("", "the most messages (or packets) at one time; 1 for a rank"),
    },
}
