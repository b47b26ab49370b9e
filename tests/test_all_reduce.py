"""All-reduces made of others, and options that depend on the number of ranks: what the table's test leaves out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import oracles
import pytest
import test_algorithms as table

import collsim as cs
from collsim.algorithms import compose
from collsim.algorithms.table import ADMITS, TABLE
from collsim.catalog import get_algorithm
from collsim.formulas import grid

ROUNDS = {
    ("recursive_doubling", None): [1, 3, 2, 4, 4, 4, 3, 5, 5, 5, 5, 5, 5, 5, 4, 6],
    ("halving_doubling", "mpich"): [2, 4, 4, 6, 6, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 10],
    ("halving_doubling", "openmpi"): [2, 5, 4, 7, 7, 7, 6, 9, 9, 9, 9, 9, 9, 9, 8, 11],
}


def check(name: str, ranks: int, **options) -> None:
    """Hold an all-reduce to all that the table's test holds it to."""
    table.test_an_algorithm_keeps_its_promise_and_its_stated_figures(
        (get_algorithm("all_reduce", name), options, ranks)
    )


def moves(schedule: cs.Schedule) -> list[tuple[int, ...]]:
    """Return single chunks that move, as (step, src, dst, chunk, op), in no order."""
    return sorted(
        (int(step), int(src), int(dst), chunk, int(op))
        for step, src, dst, first, count, op in zip(
            schedule.step, schedule.src, schedule.dst, schedule.chunk, schedule.count, schedule.op, strict=True
        )
        for chunk in range(first, first + count)
    )


# ---- exchanges


@pytest.mark.parametrize(("name", "fold"), ROUNDS)
def test_rounds_are_those_of_mpich_and_open_mpi(name, fold):
    options = {} if fold is None else {"fold": fold}
    steps = [cs.make_schedule("all_reduce", name, ranks, **options).steps for ranks in range(2, 18)]
    assert steps == ROUNDS[name, fold]


@pytest.mark.parametrize("ranks", range(2, 34))
def test_folds_differ_in_who_is_left(ranks):
    folded = ranks - (1 << (ranks.bit_length() - 1))
    for fold, drops_out in (("mpich", range(0, 2 * folded, 2)), ("openmpi", range(1, 2 * folded, 2))):
        schedule = cs.make_schedule("all_reduce", "halving_doubling", ranks, fold=fold)
        last = np.flatnonzero(schedule.step == schedule.steps - 1)
        to_sender = set(schedule.src[last].tolist())
        told = {int(rank) for rank in schedule.dst[last] if int(rank) not in to_sender}
        assert told == set(drops_out)


def test_halves_travel_as_one_message():
    schedule = cs.make_schedule("all_reduce", "halving_doubling", 16)
    assert schedule.messages == len(schedule) == 8 * 16
    assert schedule.count[schedule.src == 5].tolist() == [8, 4, 2, 1, 1, 2, 4, 8]


@pytest.mark.parametrize("name", ["swing", "bine"])
def test_partners_swing(name):
    schedule = cs.make_schedule("all_reduce", name, 64, form="latency")
    for step, distance in enumerate((1, -1, 3, -5, 11, -21)):
        for src in range(64):
            (dst,) = schedule.dst[(schedule.step == step) & (schedule.src == src)]
            assert dst == (src + (distance if src % 2 == 0 else -distance)) % 64


@pytest.mark.parametrize("ranks", [2, 4, 8, 16, 32, 64])
def test_swing_and_bine_send_the_same_messages_for_powers_of_two(ranks):
    both = [cs.make_schedule("all_reduce", name, ranks) for name in ("swing", "bine")]
    messages = []
    for schedule in both:
        payload = schedule.message_bytes(ranks)
        keys = zip(schedule.step.tolist(), schedule.src.tolist(), schedule.dst.tolist(), strict=True)
        total: dict[tuple[int, int, int], float] = {}
        for key, nbytes in zip(keys, payload, strict=True):
            total[key] = total.get(key, 0.0) + nbytes
        messages.append(total)
        assert schedule.messages == len(total)
    assert messages[0] == messages[1]
    assert not both[1].packed


@pytest.mark.parametrize("ranks", [*range(2, 67, 2), 96, 98, 126, 128, 130, 190, 198])
def test_swing_reaches_all_of_any_even_number_of_ranks(ranks):
    cs.verify(cs.make_schedule("all_reduce", "swing", ranks))


@pytest.mark.parametrize("name", ["recursive_doubling", "halving_doubling", "bine", "torus", "torus_bucket"])
def test_a_thousand_ranks_are_written_at_once(name):
    schedule = cs.make_schedule("all_reduce", name, 1024)
    assert schedule.ranks == 1024


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("halving_doubling", {"fold": "mpi"}, "unknown fold 'mpi'; did you mean 'mpich'"),
        ("swing", {"form": "fast"}, "unknown form 'fast'.*bandwidth, latency"),
        ("bine", {"form": "latencies"}, "unknown form 'latencies'; did you mean 'latency'"),
        ("parameter_server", {"servers": 7}, "servers must be at most the number of ranks, 6, got 7"),
        ("parameter_server", {"servers": 0}, "servers must be a whole number of at least 1, got 0"),
        (
            "hierarchical",
            {"groups": [4, 2]},
            r"groups must be numbers whose product is 6, such as \[3, 2\], got \[4, 2\]",
        ),
        ("hierarchical", {"groups": "3xtwo"}, "a number in groups must be a whole number of at least 1, got 'two'"),
        ("hierarchical", {"all_gather": "brook"}, "unknown all_gather algorithm 'brook'"),
        ("torus", {"dims": []}, r"dims must be numbers whose product is 6.* got \[\]"),
        ("torus", {"dims": 5}, "dims must be numbers whose product is 6.* got 5"),
        ("torus", {"dims": [0, 6]}, "a number in dims must be a whole number of at least 1, got 0"),
        ("torus_bucket", {"dims": "2x2"}, "dims must be numbers whose product is 6.* got '2x2'"),
        ("reduce_scatter_all_gather", {"reduce_scatter": "tree"}, "unknown reduce_scatter algorithm 'tree'"),
    ],
)
def test_a_wrong_option_is_refused(name, options, reason):
    with pytest.raises(cs.InputError, match=reason):
        cs.make_schedule("all_reduce", name, 6, **options)


# ---- servers


@pytest.mark.parametrize("ranks", [2, 3, 8, 9, 16, 33])
def test_one_server_is_naive_and_as_many_as_ranks_is_sharded(ranks):
    one = cs.make_schedule("all_reduce", "parameter_server", ranks)
    assert moves(one) == moves(cs.make_schedule("all_reduce", "naive", ranks))
    sharded = cs.make_schedule("all_reduce", "sharded_parameter_server", ranks)
    assert moves(cs.make_schedule("all_reduce", "parameter_server", ranks, servers=ranks)) == moves(sharded)
    check("parameter_server", ranks, servers=ranks)


@pytest.mark.parametrize(
    ("ranks", "servers"), [(ranks, servers) for ranks in range(3, 20) for servers in range(2, (ranks + 1) // 2)]
)
def test_several_servers(ranks, servers):
    check("parameter_server", ranks, servers=servers)


@pytest.mark.parametrize(
    ("ranks", "servers"), [(ranks, servers) for ranks in range(3, 14) for servers in range((ranks + 1) // 2, ranks)]
)
def test_more_servers_than_half_the_ranks_may_lose_ties(ranks, servers):
    schedule = cs.make_schedule("all_reduce", "parameter_server", ranks, servers=servers)
    cs.verify(schedule)
    stated = get_algorithm("all_reduce", "parameter_server").time(ranks, 1e6, 1e-6, 1e-9, servers=servers)
    time = cs.simulate(schedule, alpha=1e-6, beta=1e-9, nbytes=10**6).time
    assert stated * (1 - 1e-9) <= time <= 1.25 * stated


# ---- levels and dimensions


@pytest.mark.parametrize(
    ("ranks", "groups"),
    [
        (1, [1]),
        (7, [7]),
        (8, [2, 4]),
        (8, [1, 8]),
        (8, [8, 1]),
        (8, "2x2x2"),
        (30, "2,3,5"),
        (24, (3, 1, 8)),
        (32, [8, 4]),
        (64, [4, 4, 4]),
        (100, [5, 2, 10]),
    ],
)
def test_groups_of_any_nesting(ranks, groups):
    check("hierarchical", ranks, groups=groups)
    check("hierarchical", ranks, groups=groups, reduce_scatter="bruck", all_gather="pat", all_reduce="halving_doubling")


@pytest.mark.parametrize("outermost", ["hierarchical", "naive", "recursive_doubling", "bine", "torus_bucket"])
def test_any_algorithm_between_groups(outermost):
    schedule = cs.make_schedule("all_reduce", "hierarchical", 24, groups=[4, 6], all_reduce=outermost)
    cs.verify(schedule)
    between = schedule.src // 4 != schedule.dst // 4
    assert (schedule.src[between] % 4 == schedule.dst[between] % 4).all()
    assert schedule.message_bytes(24)[between].sum() == pytest.approx(
        4 * cs.make_schedule("all_reduce", outermost, 6).message_bytes(6).sum()
    )


@pytest.mark.parametrize(
    ("ranks", "dims"), [(1, [1]), (7, 7), (8, [2, 2, 2]), (8, "4x2"), (24, [2, 3, 4]), (30, [5, 1, 6]), (64, "4x4x4")]
)
def test_sides_of_any_torus(ranks, dims):
    check("torus", ranks, dims=dims)
    check("torus_bucket", ranks, dims=dims)


@pytest.mark.parametrize(("ranks", "dims"), [(6, None), (8, [2, 2, 2]), (24, [2, 3, 4]), (30, [5, 6])])
def test_a_torus_is_a_hierarchy_of_rings(ranks, dims):
    sides = list(grid(ranks, dims))
    nested = cs.make_schedule("all_reduce", "hierarchical", ranks, groups=sides[::-1])
    flat = cs.make_schedule("all_reduce", "torus", ranks, dims=dims)
    # Who sends how much to whom is the same; the rings of the outermost level number their pieces in another way.
    assert (nested.steps, nested.messages) == (flat.steps, flat.messages)
    links = [
        sorted(zip(s.step.tolist(), s.src.tolist(), s.dst.tolist(), s.count.tolist(), strict=True))
        for s in (nested, flat)
    ]
    assert links[0] == links[1]


def test_torus_moves_along_one_dimension_at_a_time():
    schedule = cs.make_schedule("all_reduce", "torus", 12, dims=[3, 4])
    for step in range(schedule.steps):
        rows = schedule.step == step
        src, dst = (np.array(np.unravel_index(getattr(schedule, end)[rows], (3, 4))) for end in ("src", "dst"))
        axis = 1 if step < 3 or step >= 7 else 0
        assert ((src[axis] + 1) % (4 if axis else 3) == dst[axis]).all()
        assert (src[1 - axis] == dst[1 - axis]).all()


@pytest.mark.parametrize("dims", [[4, 4], [3, 3, 3], [8]])
def test_bucket_uses_every_port_in_every_step(dims):
    ranks = int(np.prod(dims))
    schedule = cs.make_schedule("all_reduce", "torus_bucket", ranks, dims=dims)
    coordinates = np.stack(np.unravel_index(np.arange(ranks), dims), axis=1)
    for step in range(schedule.steps):
        rows = schedule.step == step
        ports = {}
        for src, dst in zip(schedule.src[rows].tolist(), schedule.dst[rows].tolist(), strict=True):
            hop = tuple(((coordinates[dst] - coordinates[src] + 1) % dims - 1).tolist())
            ports.setdefault(src, []).append(hop)
        assert len(ports) == ranks
        assert all(len(set(hops)) == len(hops) == 2 * len(dims) for hops in ports.values())


@pytest.mark.parametrize("ranks", range(2, 34))
def test_bucket_takes_as_long_as_the_torus_on_one_port_without_additions(ranks):
    stated = get_algorithm("all_reduce", "torus").time(ranks, 10**6, 1e-6, 1e-9, dims=None)
    schedule = cs.make_schedule("all_reduce", "torus_bucket", ranks)
    assert cs.simulate(schedule, alpha=1e-6, beta=1e-9, nbytes=10**6).time == pytest.approx(stated, rel=1e-9)


# ---- made of others

HALVES = {
    collective: [row for row in TABLE if row.collective == collective]
    for collective in ("reduce_scatter", "all_gather")
}
PAIRS = list(itertools.product(*HALVES.values()))


def test_all_pairs_are_tried():
    assert len(PAIRS) == len(HALVES["reduce_scatter"]) * len(HALVES["all_gather"]) > 1


@pytest.mark.parametrize("ranks", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].name}-{pair[1].name}")
def test_any_reduce_scatter_with_any_all_gather(pair, ranks):
    options = {"reduce_scatter": pair[0].name, "all_gather": pair[1].name}
    if all(ADMITS[row.admits](ranks) for row in pair):
        check("reduce_scatter_all_gather", ranks, **options)
    else:
        with pytest.raises(cs.InputError, match=rf"{ranks}.*instead"):
            cs.make_schedule("all_reduce", "reduce_scatter_all_gather", ranks, **options)


def test_figures_of_halves_add_up_but_where_ranks_end_apart_and_messages_then_meet():
    form = get_algorithm("all_reduce", "reduce_scatter_all_gather").time

    def unknown(ranks):
        pairs = [{"reduce_scatter": one.name, "all_gather": other.name} for one, other in PAIRS]
        times = [form(ranks, 1e6, 1e-6, 1e-10, 0.0, **pair) for pair in pairs]
        return {tuple(pair.values()) for pair, time in zip(pairs, times, strict=True) if math.isnan(time)}

    assert unknown(8) == set(itertools.product(("butterfly",), ("direct", "gather_broadcast")))
    assert unknown(6) == set(itertools.product(("recursive_halving", "butterfly"), ("direct", "gather_broadcast")))


def test_ring_is_its_two_halves():
    halves = cs.make_schedule("all_reduce", "reduce_scatter_all_gather", 5)
    ring = cs.make_schedule("all_reduce", "ring", 5)
    # The ring of the table ends with chunk r + 1 at rank r, a reduce-scatter with chunk r: the same up to a turn.
    turned = sorted((step, src, dst, (chunk + 1) % 5, op) for step, src, dst, chunk, op in moves(halves))
    assert turned == moves(ring)


def test_schedules_in_sequence_are_cut_to_common_chunks():
    whole = compose.concatenate(
        "all_reduce", [cs.make_schedule("all_reduce", "ring", 3), cs.make_schedule("all_reduce", "halving_doubling", 3)]
    )
    assert (whole.chunks, whole.steps, whole.messages) == (6, 8, 12 + 6)
    ring = cs.make_schedule("all_reduce", "ring", 3)
    x = np.arange(21).reshape(3, 7)
    assert np.array_equal(cs.execute(whole, x), 3 * cs.execute(ring, x))


def test_packed_messages_and_dependencies_survive_composition():
    plan = cs.ScheduleBuilder("all_reduce", 2, 4)
    early = plan.reduce(step=0, src=0, dst=1, chunk=[0, 2], packed=True)
    plan.copy(step=1, src=1, dst=0, chunk=[0, 2], packed=True, after=early[:1])
    part = plan.build()
    pairs = compose.by_groups(part, [[0, 2], [3, 1]], ranks=4, first=[0, 4], chunks=8)
    assert pairs.messages == 4
    assert pairs.after.tolist() == [[4, 0], [5, 0], [6, 2], [7, 2]]
    assert moves(pairs) == sorted(
        row
        for src, dst, first in ((0, 2, 0), (3, 1, 4))
        for chunk in (first, first + 2)
        for row in ((0, src, dst, chunk, int(cs.Op.REDUCE)), (1, dst, src, chunk, int(cs.Op.COPY)))
    )
    twice = compose.concatenate("all_reduce", [part, part])
    assert (twice.messages, twice.steps) == (4, 4)
    assert twice.after.tolist() == [[2, 0], [3, 0], [6, 4], [7, 4]]


@pytest.mark.parametrize("ranks", [[3, 4], []])
def test_only_schedules_for_the_same_ranks_are_concatenated(ranks):
    with pytest.raises(cs.InputError, match=r"the same number of ranks, got (\[3, 4\]|none)"):
        compose.concatenate("all_reduce", [cs.make_schedule("all_reduce", "ring", number) for number in ranks])


def test_chunks_are_cut_into_whole_pieces_only():
    with pytest.raises(cs.InputError, match="3 chunks can be cut into a multiple of that number only, got 4"):
        compose.recut(cs.make_schedule("all_reduce", "ring", 3), 4)


@pytest.mark.parametrize("dropped", range(12))
def test_a_composition_without_one_of_its_moves_is_refused(dropped):
    schedule = cs.make_schedule("all_reduce", "hierarchical", 4, groups=[2, 2], all_reduce="recursive_doubling")
    assert len(schedule) == 12
    with pytest.raises(cs.VerificationError):
        cs.verify(oracles.with_rows(schedule, [row for row in range(12) if row != dropped]))
