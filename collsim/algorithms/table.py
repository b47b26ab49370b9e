"""The visible table of algorithms: what can be asked for by name, with its costs and its source.

A new algorithm is a function in a file of this folder and a line here. The figures are formulas in the
letters of `collsim.formulas`; ``collsim list algorithms`` and the documentation print them, and the tests
hold every schedule to them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collsim import formulas
from collsim.algorithms import (
    all_to_all,
    barrier,
    bruck,
    chain,
    compose,
    direct,
    double_tree,
    doubling,
    flat,
    hierarchical,
    naive,
    neighbour_exchange,
    pairwise,
    parameter_server,
    pat,
    recursive,
    ring,
    scan,
    scatter_allgather,
    send_recv,
    sparbit,
    swing,
    torus,
    tree,
)
from collsim.algorithms.vectors import with_counts
from collsim.formulas import Formula
from collsim.schedule import Schedule

Builder = Callable[..., Schedule]

# Which numbers of ranks an algorithm works for.
ADMITS: dict[str, Callable[[int], bool]] = {
    "any": lambda ranks: True,
    "even": lambda ranks: ranks % 2 == 0 or ranks == 1,
    "power of two": lambda ranks: ranks & (ranks - 1) == 0,
}


@dataclass(frozen=True)
class Algorithm:
    """One line of the table.

    Attributes
    ----------
    collective, name : str
        What it carries out, and what it is called.
    build : callable
        ``build(ranks, **options)`` returns the `Schedule`.
    summary : str
        One line for people.
    source : str
        Paper or implementation.
    steps : Formula, optional
        Number of steps.
    sent : Formula, optional
        The most bytes that one rank sends.
    wire : Formula, optional
        Bytes of all messages together.
    time : Formula, optional
        Seconds under the alpha-beta model, ordered by steps.
    admits : str
        Which numbers of ranks it works for: a key of `ADMITS`.
    variants : tuple of mappings
        Options that are tried besides the defaults.
    """

    collective: str
    name: str
    build: Builder
    summary: str = ""
    source: str = ""
    steps: Formula | None = None
    sent: Formula | None = None
    wire: Formula | None = None
    time: Formula | None = None
    admits: str = "any"
    variants: tuple[Mapping[str, Any], ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The options that `build` takes besides the number of ranks, with their defaults."""
        parameters = list(inspect.signature(self.build).parameters.values())[1:]
        named = (parameter for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD)
        return {parameter.name: parameter.default for parameter in named}


def _row(
    collective: str,
    name: str,
    build: Builder,
    summary: str,
    source: str,
    *,
    steps: str,
    sent: str,
    wire: str,
    time: str | None = None,
    admits: str = "any",
    variants: tuple[Mapping[str, Any], ...] = (),
) -> Algorithm:
    """Return a line; every figure is a formula."""
    figures = (Formula(steps), Formula(sent), Formula(wire), None if time is None else Formula(time))
    return Algorithm(collective, name, build, summary, source, *figures, admits, variants)


def _vector(row: Algorithm) -> Algorithm:
    """Return the line of an algorithm's v-form: the same steps; the bytes depend on the counts."""
    return replace(row, collective=f"{row.collective}v", build=with_counts(row.build), sent=None, wire=None, time=None)


# The collectives whose v-form every one of their algorithms has.
VECTOR_FORMS = ("reduce_scatter", "all_gather", "gather", "scatter", "all_to_all")

# Recursive doubling: whole vectors between the p2(K) ranks that are left of K when the others are folded.
_DOUBLING: dict[str, Any] = {
    "steps": "lg(p2(K)) + 2*(K>p2(K))",
    "sent": "(lg(p2(K)) + (K>p2(K)))*n",
    "wire": "(p2(K)*lg(p2(K)) + 2*(K-p2(K)))*n",
    "time": "(lg(p2(K)) + 2*(K>p2(K)))*(a+n*b) + (lg(p2(K)) + (K>p2(K)))*n*g",
}


def _by_form(bandwidth: Mapping[str, str], latency: Mapping[str, str]) -> dict[str, Any]:
    """Return the figures of an algorithm that has two forms, by its option `form`."""
    return {name: f"({bandwidth[name]}) if form=='bandwidth' else ({latency[name]})" for name in bandwidth}


# fmt: off
_PLAIN = (
    # ---- all_reduce
    _row("all_reduce", "naive", naive.all_reduce, "gather to one rank, sum there, send back",
         "the baseline of textbooks", steps="2", sent="(K-1)*n", wire="2*(K-1)*n",
         time=formulas.NAIVE_ALL_REDUCE.text),
    _row("all_reduce", "tree", tree.all_reduce, "binomial reduce, then binomial broadcast",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="2*lg(K)", sent="lg(K)*n", wire="2*(K-1)*n",
         time=formulas.TREE_ALL_REDUCE.text),
    _row("all_reduce", "ring", ring.all_reduce, "reduce-scatter round a ring, then all-gather",
         "Patarasuk and Yuan, JPDC 69(2), 2009", steps="2*(K-1)", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time=formulas.RING_ALL_REDUCE.text),
    _row("all_reduce", "bidirectional_ring", ring.bidirectional_all_reduce, "half the vector each way round a ring",
         "Patarasuk and Yuan, JPDC 69(2), 2009, on a ring either way", steps="2*(K-1)", sent="2*n*(K-1)/K",
         wire="2*(K-1)*n", time="(K-1)*(2*a + n/K*b + n/(2*K)*(b + g + max(b, g)))"),
    _row("all_reduce", "segmented_ring", ring.segmented_all_reduce, "ring whose sums go round in segments",
         "Open MPI allreduce_intra_ring_segmented", steps="(segments+1)*(K-1)", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time="(K-1)*((segments+1)*a + n/K*(2*b + g))", variants=({"segments": 1}, {"segments": 3})),
    _row("all_reduce", "multi_ring", ring.multi_ring_all_reduce, "rings of different strides, each for a part",
         "the channels of NCCL, src/graph/rings.cc", steps="2*(K-1)", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time="(K-1)*(2*a + n/K*b + n/(K*channels)*(b + g + (channels-1)*max(b, g)))",
         variants=({"channels": 1}, {"channels": 3})),
    _row("all_reduce", "direct", direct.all_reduce, "send every vector to everybody, sum everywhere",
         "the baseline of textbooks", steps="1", sent="(K-1)*n", wire="K*(K-1)*n",
         time="a + (K-1)*n*b + n*g + (K-2)*max(0, n*g - n*b)"),
    _row("all_reduce", "recursive_doubling", recursive.recursive_doubling, "exchange whole vectors across each bit",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", **_DOUBLING),
    _row("all_reduce", "halving_doubling", recursive.halving_doubling, "halve to reduce-scatter, double to all-gather",
         "Rabenseifner, ICCS 2004; folds of MPICH and Open MPI",
         steps="2*lg(p2(K)) + (K>p2(K))*(2 if fold=='mpich' else 3)",
         sent="2*n*(p2(K)-1)/p2(K) + (K>p2(K))*n*(1 if fold=='mpich' else 3/2)",
         wire="2*(p2(K)-1)*n + (K-p2(K))*n*(2 if fold=='mpich' else 5/2)",
         time="2*lg(p2(K))*a + (p2(K)-1)/p2(K)*n*(2*b+g) + "
              "(K>p2(K))*(2*(a+n*b) + n*g if fold=='mpich' else 3*a + 2*n*b + n/2*g)",
         variants=({"fold": "openmpi"},)),
    _row("all_reduce", "swing", swing.swing, "butterfly with swinging distances 1, -1, 3, -5, ...",
         "De Sensi et al., NSDI 2024", admits="even", variants=({"form": "latency"},),
         **_by_form({"steps": "2*lg(K)", "sent": "2*n*(K-1)/K", "wire": "2*(K-1)*n",
                     "time": "2*lg(K)*a + (K-1)/K*n*(2*b+g)"}, _DOUBLING)),
    _row("all_reduce", "bine", swing.bine, "the same distances, blocks that stay neighbours",
         "De Sensi et al., SC 2025; authors' fork of MPICH", variants=({"form": "latency"},),
         **_by_form({"steps": "2*lg(p2(K)) + 2*(K>p2(K))", "sent": "2*n*(p2(K)-1)/p2(K) + (K>p2(K))*n",
                     "wire": "2*(K-1)*n",
                     "time": "2*lg(p2(K))*a + (p2(K)-1)/p2(K)*n*(2*b+g) + (K>p2(K))*(2*(a+n*b) + n*g)"}, _DOUBLING)),
    Algorithm("all_reduce", "reduce_scatter_all_gather", compose.reduce_scatter_all_gather,
              "any reduce_scatter, then any all_gather", "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005",
              **compose.figures("reduce_scatter + all_gather", compose.two_parts),
              variants=({"reduce_scatter": "pairwise", "all_gather": "bruck"},
                        {"reduce_scatter": "recursive_halving", "all_gather": "sparbit"},
                        {"reduce_scatter": "pat", "all_gather": "pat"})),
    Algorithm("all_reduce", "hierarchical", hierarchical.all_reduce,
              "reduce_scatter in groups, all_reduce between them, all_gather in groups",
              "Cho et al. (BlueConnect), MLSys 2019",
              **compose.figures("reduce_scatter + all_gather of inner levels + all_reduce of the outermost",
                                hierarchical.parts),
              variants=({"reduce_scatter": "recursive_halving", "all_reduce": "tree", "all_gather": "bruck"},
                        {"all_reduce": "halving_doubling"})),
    _row("all_reduce", "torus", torus.torus, "rings of one dimension after the other, and back",
         "Barnett et al., IPPS 1993; Cho et al. (BlueConnect), MLSys 2019",
         steps="2*sum(d-1 for d in grid(K, dims))", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time="2*sum(d-1 for d in grid(K, dims))*a + (K-1)/K*n*(2*b+g)"),
    _row("all_reduce", "torus_bucket", torus.torus_bucket, "2D parts, each in its own order of dimensions, at once",
         "Jain and Sabharwal, ICS 2010; Sack and Gropp, ACM TOPC 1(2), 2015",
         steps="2*sum(d-1 for d in grid(K, dims))", sent="2*n*(K-1)/K", wire="2*(K-1)*n"),
    _row("all_reduce", "parameter_server", parameter_server.all_reduce, "send parts to their servers, get sums back",
         "Li et al., OSDI 2014", steps="2", sent="max(n, (servers+K-2)*n/servers)", wire="2*(K-1)*n",
         time="2*a + 2*(K-1)*n/servers*b + n/servers*(g + (K-2)*max(0, g-b))"),
    _row("all_reduce", "sharded_parameter_server", parameter_server.sharded_all_reduce,
         "every rank is the server of its own part", "Li et al., OSDI 2014; Jiang et al. (BytePS), OSDI 2020",
         steps="2", sent="2*n*(K-1)/K", wire="2*(K-1)*n",
         time="2*a + 2*(K-1)/K*n*b + n/K*(g + (K-2)*max(0, g-b))"),
    _row("all_reduce", "knomial", tree.knomial_all_reduce, "k-nomial reduce, then k-nomial broadcast",
         "MPICH and Open MPI, both halves", steps="2*len([t for t in range(lg(K)) if radix**t < K])",
         sent="n*sum(min(radix-1, (K-1)//radix**t) for t in range(lg(K)))", wire="2*(K-1)*n",
         time="sum(2*a + n*(2*b + g) + (min(radix-1, (K-1)//radix**t) - 1)*n*(b + max(b, g))"
              " for t in range(lg(K)) if radix**t < K)",
         variants=({"radix": 2, "root": 3}, {"radix": 3}, {"radix": 300})),
    _row("all_reduce", "chain", chain.all_reduce, "pipelined reduce along a chain, then pipelined broadcast",
         "Open MPI reduce_intra_pipeline and bcast_intra_pipeline", steps="2*(K-2+segments)", sent="min(2, K-1)*n",
         wire="2*(K-1)*n", time="(K-2+segments)*(2*a + n/segments*(2*b + g))",
         variants=({"segments": 1, "root": 2}, {"segments": 7})),
    _row("all_reduce", "double_tree", double_tree.all_reduce, "segments up and down two trees, half the vector each",
         "Sanders, Speck and Traff, Parallel Computing 35(12), 2009; NCCL 2.4",
         steps="2*segments if K == 2 else 2*(2*lg(K) + 2*segments - 4 + (K%4 == 0))", sent="min(K, 4)*n/2",
         wire="2*(K-1)*n",
         time="(segments if K == 2 else 2*lg(K) + 2*segments - 4 + (K%4 == 0))*(2*a + n/(2*segments)*(2*b + g))",
         variants=({"segments": 1}, {"segments": 7})),
    # ---- reduce_scatter
    _row("reduce_scatter", "ring", ring.reduce_scatter, "pass partial sums round a ring to their owners",
         "Patarasuk and Yuan, JPDC 69(2), 2009", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*(b + g))"),
    _row("reduce_scatter", "pairwise", pairwise.reduce_scatter, "send every part straight to its owner",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*(b + g))"),
    _row("reduce_scatter", "recursive_halving", doubling.reduce_scatter, "halve the group in each round, MPICH fold",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="lg(p2(K)) + 2*(K > p2(K))",
         sent="n if K > p2(K) else n*(K-1)/K", wire="(p2(K)-1)*n + (K-p2(K))*(n + n/K)",
         time="(K > p2(K))*(2*a + n*(b + g) + n/K*b)"
              " + sum(a + (2**i + min(2**i, K-p2(K)))*n/K*(b + g) for i in range(lg(p2(K))))"),
    _row("reduce_scatter", "butterfly", doubling.butterfly_reduce_scatter, "halve, nearest first, then sort the parts",
         "Traff, EuroPVM/MPI 2005; Open MPI reduce_scatter_intra_butterfly",
         steps="lg(p2(K)) + (K > 3) + 2*(K > p2(K))",
         sent="n if K > p2(K) else n*(K-1)/K + (K>2)*n/K", wire="(K-1)*n + n/K*(K - 2**((lg(p2(K))+1)//2))",
         time="(K > p2(K))*(a + n*(b + g))"
              " + sum(a + (2**i + min(2**i, K-p2(K)))*n/K*(b + g) for i in range(lg(p2(K))))"
              " + ((K > 2) + (K > p2(K) + 1))*(a + n/K*b)"),
    _row("reduce_scatter", "bruck", bruck.reduce_scatter, "Bruck's all-gather backwards",
         "Bruck et al., IEEE TPDS 8(11), 1997, reversed", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*(b + g)"),
    _row("reduce_scatter", "pat", pat.reduce_scatter, "up binomial trees, nearest ranks first, packed",
         "Jeaugey, arXiv 2506.20252; NCCL 2.23", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*(b + g)"),
    # ---- all_gather
    _row("all_gather", "ring", ring.all_gather, "pass every part round a ring",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*b)"),
    _row("all_gather", "pairwise", pairwise.all_gather, "send one's own part to one other rank in each round",
         "Faraj and Yuan, ICS 2005; SimGrid", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*b)", variants=({"partners": "shift"},)),
    _row("all_gather", "direct", direct.all_gather, "send one's own part to everybody at once",
         "Faraj and Yuan, ICS 2005; SimGrid", steps="1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="a + n*(K-1)/K*b"),
    _row("all_gather", "gather_broadcast", tree.gather_broadcast, "gather to rank 0, broadcast along a binomial tree",
         "Open MPI allgather_intra_basic_linear", steps="1 + lg(K)", sent="lg(K)*n", wire="(K-1)*n*(1 + 1/K)",
         time="a + n*(K-1)/K*b + lg(K)*(a + n*b)"),
    _row("all_gather", "bruck", bruck.all_gather, "double the run of parts held in each round",
         "Bruck et al., IEEE TPDS 8(11), 1997", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*b"),
    _row("all_gather", "recursive_doubling", doubling.all_gather, "exchange all that one holds across each bit",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*b", admits="power of two"),
    _row("all_gather", "neighbour_exchange", neighbour_exchange.all_gather, "exchange pairs with neighbours in turn",
         "Chen, Zhang, Zhang and Yuan, HPC Asia 2005; Open MPI", steps="K//2", sent="n*(K-1)/K", wire="(K-1)*n",
         time="K/2*a + n*(K-1)/K*b", admits="even"),
    _row("all_gather", "pat", pat.all_gather, "down binomial trees, farthest ranks first, packed",
         "Jeaugey, arXiv 2506.20252; NCCL 2.23", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*b"),
    _row("all_gather", "sparbit", sparbit.all_gather, "along binomial trees, farthest ranks first, in place",
         "Loch and Koslovski, arXiv 2109.08751, 2021; Open MPI", steps="lg(K)", sent="n*(K-1)/K", wire="(K-1)*n",
         time="lg(K)*a + n*(K-1)/K*b"),
    # ---- broadcast
    _row("broadcast", "flat", flat.broadcast, "the root sends to every other rank",
         "Open MPI bcast_intra_basic_linear", steps="1", sent="(K-1)*n", wire="(K-1)*n",
         time="a + (K-1)*n*b", variants=({"root": 2},)),
    _row("broadcast", "binomial", tree.broadcast, "every rank that has the vector sends it on, in each round",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="lg(K)", sent="lg(K)*n", wire="(K-1)*n",
         time="lg(K)*(a + n*b)", variants=({"root": 2},)),
    _row("broadcast", "knomial", tree.knomial_broadcast, "as binomial, to radix-1 ranks in each round",
         "MPICH; Open MPI bcast_intra_knomial", steps="len([t for t in range(lg(K)) if radix**t < K])",
         sent="n*sum(min(radix-1, (K-1)//radix**t) for t in range(lg(K)))", wire="(K-1)*n",
         time="sum(a + min(radix-1, (K-1)//radix**t)*n*b for t in range(lg(K)) if radix**t < K)",
         variants=({"radix": 2, "root": 3}, {"radix": 3}, {"radix": 300})),
    _row("broadcast", "chain", chain.broadcast, "segments follow each other from rank to rank",
         "Patarasuk, Faraj and Yuan, IPDPS 2006; Open MPI bcast_intra_pipeline", steps="K-2+segments", sent="n",
         wire="(K-1)*n", time="(K-2+segments)*(a + n/segments*b)",
         variants=({"segments": 1, "root": 2}, {"segments": 7})),
    _row("broadcast", "binary_tree", tree.binary_broadcast, "segments down a complete binary tree",
         "Open MPI bcast_intra_bintree", steps="lg(K+1)+segments-2", sent="min(2, K-1)*n", wire="(K-1)*n",
         time="(segments-1)*(a + min(2, K-1)*n/segments*b)"
              " + max((lg(i+1)-1)*(a + n/segments*b) + (popcount(i)-1)*n/segments*b for i in range(1, K+1))",
         variants=({"segments": 1, "root": 2}, {"segments": 7})),
    _row("broadcast", "double_tree", double_tree.broadcast, "segments down two trees, half the vector each",
         "Sanders, Speck and Traff, Parallel Computing 35(12), 2009",
         steps="2*lg(K) + 2*segments - 3 + (K%4 == 3 or K == p2(K))", sent="n", wire="(K-1)*n",
         time="(2*lg(K) + 2*segments - 3 + (K%4 == 3 or K == p2(K)))*(a + n/(2*segments)*b)",
         variants=({"segments": 1, "root": 2}, {"segments": 7})),
    _row("broadcast", "scatter_ring_allgather", scatter_allgather.ring_broadcast,
         "binomial scatter, then ring all-gather", "Barnett et al. (van de Geijn), SHPCC 1994; MPICH",
         steps="lg(K)+K-1", sent="2*n*(K-1)/K",
         wire="(K-1)*n + n/K*sum(popcount(i) for i in range(K))", time="(lg(K)+K-1)*a + 2*(K-1)/K*n*b",
         variants=({"root": 2},)),
    _row("broadcast", "scatter_recursive_doubling_allgather", scatter_allgather.recursive_doubling_broadcast,
         "binomial scatter, then all-gather by recursive doubling", "Barnett et al. (van de Geijn), SHPCC 1994; MPICH",
         steps="2*lg(K)", sent="2*n*(K-1)/K", wire="(K-1)*n + n/K*sum(popcount(i) for i in range(K))",
         time="2*lg(K)*a + 2*(K-1)/K*n*b", admits="power of two", variants=({"root": 2},)),
    # ---- reduce
    _row("reduce", "flat", flat.reduce, "every rank sends to the root, which adds",
         "the definition, all receives posted at once", steps="1", sent="n", wire="(K-1)*n",
         time="a + n*(b + g) + (K-2)*n*max(b, g)", variants=({"root": 2},)),
    _row("reduce", "linear", flat.linear_reduce, "the root receives and adds one vector after another",
         "Open MPI reduce_intra_basic_linear", steps="K-1", sent="n", wire="(K-1)*n",
         time="(K-1)*(a + n*(b + g))", variants=({"root": 2},)),
    _row("reduce", "binomial", tree.reduce, "partial sums go up a binomial tree",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="lg(K)", sent="n", wire="(K-1)*n",
         time="lg(K)*(a + n*(b + g))", variants=({"root": 2},)),
    _row("reduce", "knomial", tree.knomial_reduce, "as binomial, from radix-1 ranks in each round",
         "MPICH ireduce_tsp_tree", steps="len([t for t in range(lg(K)) if radix**t < K])", sent="n", wire="(K-1)*n",
         time="sum(a + n*(b + g) + (min(radix-1, (K-1)//radix**t) - 1)*n*max(b, g)"
              " for t in range(lg(K)) if radix**t < K)",
         variants=({"radix": 2, "root": 3}, {"radix": 3}, {"radix": 300})),
    _row("reduce", "chain", chain.reduce, "segments of sums follow each other from rank to rank",
         "Open MPI reduce_intra_pipeline", steps="K-2+segments", sent="n", wire="(K-1)*n",
         time="(K-2+segments)*(a + n/segments*(b + g))", variants=({"segments": 1, "root": 2}, {"segments": 7})),
    _row("reduce", "rabenseifner", scatter_allgather.rabenseifner_reduce,
         "reduce-scatter by recursive halving, then binomial gather", "Rabenseifner, ICCS 2004; MPICH",
         steps="2*lg(p2(K)) + (K > p2(K))", sent="n*(p2(K)-1)/p2(K) + n/2", wire="(K-1)*n + lg(p2(K))*n/2",
         time="2*lg(p2(K))*a + (p2(K)-1)/p2(K)*n*(2*b + g) + (K > p2(K))*(a + n*(b + g))",
         variants=({"root": 2},)),
    # ---- gather
    _row("gather", "flat", flat.gather, "every rank sends its part to the root",
         "Open MPI gather_intra_basic_linear", steps="1", sent="n/K", wire="n*(K-1)/K",
         time="a + (K-1)/K*n*b", variants=({"root": 2},)),
    _row("gather", "binomial", tree.gather, "each rank sends the parts of its subtree as one message",
         "MPICH; Open MPI gather_intra_binomial", steps="lg(K)",
         sent="n/K*max(min(2**t, K-2**t) for t in range(lg(K)))", wire="n/K*sum(popcount(i) for i in range(K))",
         time="lg(K)*a + (K-1)/K*n*b", variants=({"root": 2}, {"root": 254})),
    # ---- scatter
    _row("scatter", "flat", flat.scatter, "the root sends every rank its part",
         "Open MPI scatter_intra_basic_linear", steps="1", sent="n*(K-1)/K", wire="n*(K-1)/K",
         time="a + (K-1)/K*n*b", variants=({"root": 2},)),
    _row("scatter", "binomial", tree.scatter, "each rank gets the parts of its subtree as one message",
         "MPICH; Open MPI scatter_intra_binomial", steps="lg(K)", sent="n*(K-1)/K",
         wire="n/K*sum(popcount(i) for i in range(K))", time="lg(K)*a + (K-1)/K*n*b",
         variants=({"root": 2}, {"root": 254})),
    # ---- all_to_all
    _row("all_to_all", "pairwise", all_to_all.pairwise, "exchange with one other rank in each round",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="K-1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="(K-1)*(a + n/K*b)", variants=({"partners": "shift"},)),
    _row("all_to_all", "spread", all_to_all.spread, "send all at once, each rank from its neighbour on",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="1", sent="n*(K-1)/K", wire="(K-1)*n",
         time="a + (K-1)*n/K*b"),
    _row("all_to_all", "bruck", all_to_all.bruck, "pass blocks on by the digits of their offsets",
         "Bruck, Ho, Kipnis, Upfal and Weathersby, IEEE TPDS 8(11), 1997",
         steps="sum(radix**w < K for w in range(lg(K)))",
         sent="n/K*sum(j//radix**w % radix > 0 for j in range(K) for w in range(lg(K)))",
         wire="n*sum(j//radix**w % radix > 0 for j in range(K) for w in range(lg(K)))",
         time="sum(radix**w < K for w in range(lg(K)))*a"
              " + n/K*b*sum(j//radix**w % radix > 0 for j in range(K) for w in range(lg(K)))",
         variants=({"radix": 3}, {"radix": 16})),
    _row("all_to_all", "ring", all_to_all.ring, "pass blocks on round a ring, to where each belongs",
         "Bertsekas and Tsitsiklis, Parallel and Distributed Computation, 1989, chapter 1",
         steps="K-1", sent="n*(K-1)/2", wire="n*K*(K-1)/2", time="(K-1)*a + n*(K-1)/2*b"),
    # ---- send_recv
    _row("send_recv", "direct", send_recv.direct, "straight to where each vector belongs",
         "MPI standard, MPI_Sendrecv",
         steps="min(1, sum(to[r] != r for r in range(K)) if to else shift % K)",
         sent="n*min(1, sum(to[r] != r for r in range(K)) if to else shift % K)",
         wire="n*(sum(to[r] != r for r in range(K)) if to else K*min(1, shift % K))",
         time="(a + n*b)*min(1, sum(to[r] != r for r in range(K)) if to else shift % K)",
         variants=({"shift": 0}, {"shift": 2}, {"shift": 37})),
    # ---- scan and exscan
    _row("scan", "linear", scan.linear, "pass sums on from rank to rank, in segments if asked to",
         "the definition; Open MPI, coll_base_scan.c", steps="K-2+segments", sent="n", wire="(K-1)*n",
         time="(K-2+segments)*(a + n/segments*(b + g))", variants=({"segments": 4},)),
    _row("scan", "recursive_doubling", scan.recursive_doubling, "double the windows that ranks have summed",
         "Hillis and Steele, CACM 29(12), 1986", steps="lg(K)", sent="n*lg(K)",
         wire="n*sum(K - 2**t for t in range(lg(K)))", time="lg(K)*(a + n*b + n*g)"),
    _row("exscan", "linear", scan.exclusive_linear, "shift by one rank, then pass sums on from rank 1",
         "the definition; Open MPI, coll_base_exscan.c", steps="1 + min(1, K-2)*(K-3+segments)", sent="n*min(2, K-1)",
         wire="(2*K-3)*n", time="a + n*b + min(1, K-2)*(K-3+segments)*(a + n/segments*(b + g))",
         variants=({"segments": 4},)),
    _row("exscan", "recursive_doubling", scan.exclusive_recursive_doubling, "shift by one rank, then double windows",
         "Hillis and Steele, CACM 29(12), 1986", steps="1 + lg(K-1)", sent="n*(1 + lg(K-1))",
         wire="n*(K-1 + sum(K-1 - 2**t for t in range(lg(K-1))))", time="a + n*b + lg(K-1)*(a + n*b + n*g)"),
    # ---- barrier
    _row("barrier", "dissemination", barrier.dissemination, "tell the rank 1, 2, 4, ... further on",
         "Hensgen, Finkel and Manber, IJPP 17(1), 1988", steps="lg(K)", sent="0", wire="0", time="lg(K)*a"),
    _row("barrier", "tree", barrier.tree, "report up a binomial tree, release down it",
         "Yew, Tzeng and Lawrie, IEEE TC 36(4), 1987", steps="2*lg(K)", sent="0", wire="0", time="2*lg(K)*a"),
    _row("barrier", "ring", barrier.ring, "tell the next rank until all have gone round",
         "Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005", steps="K-1", sent="0", wire="0", time="(K-1)*a"),
    _row("barrier", "double_ring", barrier.double_ring, "pass one token twice round a ring",
         "Open MPI, coll_base_barrier.c", steps="2*K", sent="0", wire="0", time="2*K*a"),
)
# fmt: on

TABLE = _PLAIN + tuple(_vector(row) for row in _PLAIN if row.collective in VECTOR_FORMS)
