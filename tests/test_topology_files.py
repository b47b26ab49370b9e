"""What a topology file can say besides plain cables and links: it is what the same calls in Python make."""

from __future__ import annotations

import itertools
import pickle

import pytest

import collsim as cs
from collsim.topology import Link, cable

SPEED, DELAY = 1e10, 1e-6
FIGURES = 'bandwidth = "10GB/s"\nlatency = "1us"\n'

LEAVES = """
name = "leaves"
ranks = 8
switches = ["leaf {0-1}", "spine {0-1}"]

[[cable]]
from = "0-7"
to = "leaf {0-1}"
pairing = "blocks"
bandwidth = "10GB/s"
latency = "1us"

[[cable]]
from = "leaf {0-1}"
to = "spine {0-1}"
bandwidth = "20GB/s"
latency = "1us"
"""


def load_text(tmp_path, text, **options):
    file = tmp_path / "net.toml"
    file.write_text(text, encoding="utf-8")
    return cs.load_topology(file, **options)


def ends(net):
    return {(link.tail, link.head) for link in net.links}


def both(pairs):
    return {pair for a, b in pairs for pair in ((a, b), (b, a))}


def refusal(tmp_path, text):
    with pytest.raises(cs.InputError) as refused:
        load_text(tmp_path, text)
    assert "\n" not in str(refused.value)
    assert "net.toml: " in str(refused.value)
    return str(refused.value)


# Cables and links


def test_ranges_of_names_and_pairings_write_a_machine_shortly(tmp_path):
    net = load_text(tmp_path, LEAVES)
    assert net.switches == ("leaf 0", "leaf 1", "spine 0", "spine 1")
    up = {(f"leaf {a}", f"spine {b}") for a in range(2) for b in range(2)}
    assert ends(net) == both({(rank, f"leaf {rank // 4}") for rank in range(8)} | up)
    assert net.groups == ((0, 1, 2, 3), (4, 5, 6, 7))
    cyclic = load_text(tmp_path, LEAVES.replace("blocks", "cyclic"))
    assert ends(cyclic) == both({(rank, f"leaf {rank % 2}") for rank in range(8)} | up)
    reverse = LEAVES.replace('from = "0-7"\nto = "leaf {0-1}"', 'from = "leaf {0-1}"\nto = "0-7"')
    assert ends(load_text(tmp_path, reverse)) == ends(net)


def test_several_ranges_in_one_name_run_through_all_their_combinations(tmp_path):
    text = 'ranks = 4\nswitches = ["nic {0-1}.{0-1}", "core"]\n[[cable]]\nfrom = "0-3"\nto = "nic {0-1}.{0-1}"\n'
    text += f'pairing = "cyclic"\n{FIGURES}[[cable]]\nfrom = "nic {{0-1}}.{{0-1}}"\nto = "core"\n{FIGURES}'
    net = load_text(tmp_path, text)
    assert [link.head for link in net.links[:4]] == ["nic 0.0", "nic 0.1", "nic 1.0", "nic 1.1"]
    assert [link.tail for link in net.links[:4]] == [0, 1, 2, 3]


def test_a_cable_among_the_same_ranks_joins_every_two_of_them_once(tmp_path):
    net = load_text(tmp_path, f'ranks = 4\n[[cable]]\nfrom = "0-3"\nto = "0-3"\n{FIGURES}')
    assert len(net.links) == 12
    assert ends(net) == set(itertools.permutations(range(4), 2))
    overlapping = load_text(tmp_path, f'ranks = 4\n[[cable]]\nfrom = "0-2"\nto = "1-3"\n{FIGURES}')
    assert len(overlapping.links) == 2 * len({(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)})


def test_the_way_back_may_have_other_figures(tmp_path):
    more = 'reverse_bandwidth = "1GB/s"\nreverse_latency = { value = "5us", basis = "assumed", source = "made up" }\n'
    net = load_text(tmp_path, f"ranks = 2\n[[cable]]\nfrom = 0\nto = 1\n{FIGURES}{more}")
    assert net.links == (Link(0, 1, SPEED, DELAY), Link(1, 0, 1e9, 5e-6))


def test_half_duplex_parallel_cables_have_a_medium_each(tmp_path):
    net = load_text(tmp_path, f'ranks = 2\n[[cable]]\nfrom = 0\nto = 1\n{FIGURES}duplex = "half"\nparallel = 3\n')
    assert [(link.tail, link.head) for link in net.links] == [(0, 1)] * 3 + [(1, 0)] * 3
    assert net.channel.tolist() == [0, 1, 2, 0, 1, 2]
    plain = load_text(tmp_path, f"ranks = 2\n[[cable]]\nfrom = 0\nto = 1\n{FIGURES}parallel = 3\n")
    assert plain.channel.tolist() == [0, 1, 2, 3, 4, 5]
    assert cs.reroute(plain, "spread").route_bandwidth(0, 1) == 3 * SPEED


def test_a_medium_is_shared_by_all_that_name_it_and_a_fatpipe_by_nobody(tmp_path):
    text = f'ranks = 3\nswitches = ["bus", "cloud"]\n[[cable]]\nfrom = "0-2"\nto = "bus"\n{FIGURES}medium = "wire"\n'
    text += f'[[cable]]\nfrom = "bus"\nto = "cloud"\n{FIGURES}fatpipe = true\n'
    net = load_text(tmp_path, text)
    assert net.channel.tolist() == [0] * 6 + [6, 7]
    assert net.fatpipe.tolist() == [False] * 6 + [True] * 2


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ('duplex = "both"', "cable 1: unknown duplex 'both'"),
        ("duplex = true", "cable 1: unknown duplex True"),
        ("parallel = 0", "cable 1: parallel must be a whole number of at least 1, got 0"),
        ("parallel = 1.5", "cable 1: parallel must be a whole number of at least 1, got 1.5"),
        ("fatpipe = 1", "cable 1: fatpipe must be true or false, got 1"),
        ("medium = 3", "cable 1: medium must be a name, got 3"),
        ('pairing = "zip"', "cable 1: unknown pairing 'zip'"),
        ('pairing = "blocks"', "cable 1: pairing 'blocks' of 3 nodes with 2: one must divide the other"),
        ('duplex = "half"\nreverse_bandwidth = 1', "cable 1: both directions of a medium have the same bandwidth"),
        ('duplex = "half"\nmedium = "m"', "cable 1: a half-duplex cable is a medium of its own"),
        ('medium = "m"\nfatpipe = true', "cable 1: what shares a medium is no fatpipe"),
        ("reverse_latency = -1", "cable 1: reverse_latency must not be negative, got -1"),
        ("revers_latency = 1", "cable 1: unknown key in a cable: 'revers_latency'; did you mean 'reverse_latency'?"),
        ('[[link]]\nfrom = 0\nto = "a"\nduplex = "half"', "link 1: unknown key in a link: 'duplex'"),
        ("[[link]]\nfrom = 0\nto = 0\nbandwidth = 1\nlatency = 0", "link 1: it joins a node to itself"),
        ('[[link]]\nfrom = [0, 0]\nto = "a"\nbandwidth = 1\nlatency = 0', "link 1: 'from' names 0 twice"),
        ('[[link]]\nfrom = 0\nto = "c {0-1}"\nbandwidth = 1\nlatency = 0', "link 1: unknown node in 'to': 'c 0'"),
        ('[[link]]\nfrom = 0\nto = "c {1-0}"\nbandwidth = 1\nlatency = 0', "a range of names must go upwards"),
        ('[[link]]\nfrom = 0\nto = "a"\nbandwidth = [1, 2]\nlatency = 0', "link 1: bandwidth must be a number or text"),
    ],
)
def test_a_wrong_cable_is_refused_with_its_number(tmp_path, more, part):
    text = f'ranks = 3\nswitches = ["a", "b"]\n[[cable]]\nfrom = "0-2"\nto = ["a", "b"]\n{FIGURES}{more}\n'
    assert part in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("switches", "part"),
    [
        ('["a", "b", "c"]', "switch 'c' has no cable and no link"),
        ('["a", "b", "a"]', "switch 'a' is listed twice"),
        ('["a", "b", "3"]', "a switch must have a name that is not taken for a rank, got '3'"),
        ('["a", "b", "0-1"]', "a switch must have a name that is not taken for a rank, got '0-1'"),
        ('["a", "b", ""]', "a switch must have a name that is not taken for a rank, got ''"),
    ],
)
def test_wrong_switches_are_refused(tmp_path, switches, part):
    text = f'ranks = 3\nswitches = {switches}\n[[cable]]\nfrom = "0-2"\nto = ["a", "b"]\n{FIGURES}'
    assert part in refusal(tmp_path, text)


# Groups, routes, overrides, injection


@pytest.mark.parametrize("given", ["2", "[[0, 1], [2, 3], [4, 5], [6, 7]]", '["0-1", "2-3", [4, "5"], "6-7"]'])
def test_groups_are_ranges_lists_or_so_many_ranks_each(tmp_path, given):
    net = load_text(tmp_path, f"groups = {given}\n{LEAVES}")
    assert net.groups == ((0, 1), (2, 3), (4, 5), (6, 7))
    shape = load_text(tmp_path, f'shape = "ring"\nranks = 8\ngroups = {given}\n{FIGURES}')
    assert (shape.groups, shape.routing) == (net.groups, cs.ring(8, 1, 0).routing)


def test_a_file_is_what_the_same_calls_make(tmp_path):
    text = f"""
    routing = "ecmp:seed=4"
    injection = {{ value = "8GB/s", basis = "assumed", source = "made up" }}
    {LEAVES}
    [[override]]
    where = "leaf 1>spine 0"
    bandwidth = {{ value = "2GB/s", basis = "measured", source = "made up" }}

    [[override]]
    where = "7"
    latency = "x2"
    duplex = "half"

    [[route]]
    from = 0
    to = "4-5"
    via = ["leaf 0", "spine 1", "leaf 1"]

    [[route]]
    from = [6, 7]
    to = 0
    via = ["leaf 1", "spine 0", "leaf 0"]
    share = 0.25

    [[route]]
    from = [6, 7]
    to = 0
    via = ["leaf 1", "spine 1", "leaf 0"]
    share = 0.75
    """
    net = load_text(tmp_path, text)
    plain = load_text(tmp_path, LEAVES)
    made = cs.override(plain, "leaf 1>spine 0", bandwidth="2GB/s")
    made = cs.reroute(cs.override(made, "7", latency="x2", duplex="half"), "ecmp", seed=4)
    made = cs.reroute(made, {(0, dst): [0, "leaf 0", "spine 1", "leaf 1", dst] for dst in (4, 5)})
    made = cs.limit_injection(made, "8GB/s")
    assert net.links == made.links
    for src, dst in itertools.permutations(range(8), 2):
        if (src, dst) not in {(6, 0), (7, 0)}:
            assert net.routes(src, dst) == made.routes(src, dst)
    assert [(route.share, net.links[route.links[3]].tail) for route in net.routes(7, 0)] == [
        (0.25, "spine 0"),
        (0.75, "spine 1"),
    ]
    assert net.name == "leaves"  # this is the network, nothing was changed about it
    assert pickle.loads(pickle.dumps(net)).routes(7, 0) == net.routes(7, 0)


def test_a_shape_in_a_file_can_be_changed_too(tmp_path):
    text = f'shape = "torus"\ndims = [4, 4]\nrouting = "spread"\n{FIGURES}[[override]]\nwhere = "0-1"\nlatency = 0\n'
    net = load_text(tmp_path, text)
    made = cs.reroute(cs.override(cs.torus("4x4", bandwidth=SPEED, latency=DELAY), "0-1", latency=0), "spread")
    assert (net.name, net.links, net.routing) == ("net", made.links, made.routing)
    assert net.routes(0, 10) == made.routes(0, 10)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ('[[override]]\nbandwidth = "1GB/s"', "override 1: 'where' must say which links, such as '3-switch', got None"),
        ('[[override]]\nwhere = "8"\nbandwidth = 1', "override 1: override '8:bandwidth=1': topology 'leaves' has no"),
        ('[[override]]\nwhere = "3"', "override 1: the override of '3' changes nothing"),
        ('[[override]]\nwhere = "3"\nspeed = 1', "override 1: unknown key in an override: 'speed'"),
        ('[override]\nwhere = "3"', "write [[override]] with two brackets"),
        ("[[route]]\nfrom = 0\nto = 4", "route 1: the key 'via' is missing"),
        ("[[route]]\nfrom = 0\nto = 4\nvia = []", "route 1: a route of topology 'leaves' uses a link from 0 to 4"),
        ('[[route]]\nfrom = 0\nto = 4\nvia = [0, "leaf 0"]', "route 1: 'via' has the nodes between the ends 0 and 4"),
        ('[[route]]\nfrom = "leaf 0"\nto = 4\nvia = []', "route 1: unknown node in 'from': 'leaf 0'"),
        ("[[route]]\nfrom = 0\nto = 8\nvia = []", "route 1: 'to' names the ranks 8, but there are only 0-7"),
        (
            '[[route]]\nfrom = 0\nto = 1\nvia = "leaf 0"\nshare = 0.5',
            "the shares of the paths from rank 0 to rank 1 of topology",
        ),
        ('[[route]]\nfrom = 0\nto = 1\nvia = "leaf 0"\nshare = 2', "route 1: share must be a number above 0"),
        (
            '[[route]]\nfrom = 0\nto = 1\nvia = "leaf 0"\n[[route]]\nfrom = 0\nto = 1\nvia = "leaf 0"',
            "route 2: the shares of the routes from 0 to 1 add up to 2, more than 1",
        ),
    ],
)
def test_a_wrong_change_is_refused_with_its_number(tmp_path, more, part):
    assert part in refusal(tmp_path, f"{LEAVES}\n{more}\n")


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ("groups = 3", "groups of 3 do not divide 8 ranks"),
        ('groups = ["0-3"]', "every rank must be in one group"),
        ('groups = ["0-3", "4-8"]', "'groups' names the ranks '4-8', but there are only 0-7"),
        ('groups = ["leaf 0"]', "unknown node in 'groups': 'leaf 0'"),
        ("groups = 1.5", "groups must be a whole number of at least 1, got 1.5"),
        ("routing = 3", "routing must be a name such as 'ecmp:seed=1', got 3"),
        ('routing = "ecpm"', "unknown routing 'ecpm'; did you mean 'ecmp'?"),
        ("injection = 0", "injection must be positive, got 0"),
        ("injection = [1, 2]", "one for each of 8 ranks, got 2"),
        ("injektion = 1", "'injektion'; did you mean 'injection'?"),
    ],
)
def test_what_is_wrong_about_the_whole_network_is_refused_with_the_file(tmp_path, more, part):
    assert part in refusal(tmp_path, f"{more}\n{LEAVES}")


# Shapes with several levels

LEVELS = [
    'bandwidth = ["300GB/s", "25GB/s"]\nlatency = "1us"\n',
    'bandwidth = "300GB/s,25GB/s"\nlatency = ["1us", "1us"]\n',
    'bandwidth = { value = ["300GB/s", "25GB/s"], basis = "datasheet", source = "made up" }\nlatency = 1e-6\n',
    'latency = 1e-6\n[[bandwidth]]\nvalue = "300GB/s"\nbasis = "datasheet"\nsource = "made up"\n'
    '[[bandwidth]]\nvalue = "25GB/s"\nbasis = "measured"\nsource = "made up"\n',
]


@pytest.mark.parametrize("figures", LEVELS, ids=["list", "text", "table", "tables"])
def test_a_shape_has_a_figure_for_every_level(tmp_path, figures):
    net = load_text(tmp_path, f'shape = "leaf-spine"\nleaves = "2x4"\nspines = 2\n{figures}')
    made = cs.leaf_spine(2, 4, spines=2, bandwidth=["300GB/s", "25GB/s"], latency="1us")
    assert net.links == made.links


def test_figures_of_levels_are_checked_one_by_one(tmp_path):
    text = (
        'shape = "leaf-spine"\nleaves = "2x4"\nlatency = 0\nbandwidth = ["1GB/s", { value = "1GB/s", basis = "x" }]\n'
    )
    assert "unknown basis 'x'" in refusal(tmp_path, text)
    three = text.replace(', { value = "1GB/s", basis = "x" }', ', "1GB/s", "1GB/s"')
    assert "bandwidth must be one value or 2, from the ranks outward" in refusal(tmp_path, three)


def test_a_shape_and_its_file_agree_about_the_number_of_ranks(tmp_path):
    assert load_text(tmp_path, f'shape = "torus"\ndims = [4, 4]\nranks = 16\n{FIGURES}').ranks == 16
    text = f'shape = "torus"\ndims = [4, 4]\nranks = 12\n{FIGURES}'
    assert "the shape has 16 ranks, but the file says 12" in refusal(tmp_path, text)


# What is changed when a topology is loaded


def test_changes_of_loading_are_in_the_name_and_name_nodes_as_the_network_does(tmp_path):
    net = load_text(
        tmp_path, LEAVES, routing="spread", placement="7,6", overrides=["7-leaf 1:latency=5us"], injection="9GB/s"
    )
    assert net.name == "leaves (7-leaf 1:latency=5us, spread, injection 9 GB/s, placement 7,6)"
    assert net.placement == "7,6"
    # The slow cable is that of place 7, where rank 0 sits now.
    assert net.route_latency(0, 1) == pytest.approx(6e-6)
    assert net.route_latency(1, 2) == pytest.approx(4e-6)
    assert {link for link in net.links if link.tail == 0} == {cable(0, "port 7", 9e9, 0.0)[0]}
    assert len(net.routes(0, 2)) == 2


def test_a_topology_and_a_graph_can_be_changed_when_loaded():
    net = cs.ring(4, SPEED, DELAY)
    assert cs.load_topology(net) is net
    assert cs.load_topology(net, placement="linear", routing="native", overrides=()) is net
    assert cs.load_topology(net.graph, routing="spread").route_bandwidth(0, 2) == 2 * SPEED


def test_what_has_its_own_figures_says_how_to_change_them():
    with pytest.raises(cs.InputError, match=r"a bandwidth cannot be given too \(override '\*:bandwidth=...'"):
        cs.load_topology("nvidia/dgx-a100", bandwidth=1)
    net = cs.load_topology("nvidia/dgx-a100", overrides={"*": {"bandwidth": "x0.5"}})
    assert set(net.bandwidth) == {1.5e11}


# Other files, and far too much


def test_routes_in_another_file_are_looked_for_beside_the_file_that_names_them(tmp_path, monkeypatch):
    folder = tmp_path / "machines"
    folder.mkdir()
    (folder / "ways.toml").write_text("[[route]]\nfrom = 0\nto = 1\nvia = [3, 2]\n", encoding="utf-8")
    text = 'shape = "ring"\nranks = 4\nbandwidth = "1GB/s"\nlatency = "1us"\nrouting = "explicit:ways.toml"\n'
    (folder / "net.toml").write_text(text, encoding="utf-8")
    for here, name in ((tmp_path, "machines/net.toml"), (folder, "net.toml"), (folder, str(folder / "net.toml"))):
        monkeypatch.chdir(here)
        net = cs.load_topology(name)
        assert [net.links[i].head for i in net.route(0, 1)] == [3, 2, 1]
    monkeypatch.chdir(tmp_path)
    ring = cs.ring(4, bandwidth="1GB/s", latency="1us")
    assert len(cs.reroute(ring, "explicit:machines/ways.toml").route(0, 1)) == 3  # said by people: where they are
    with pytest.raises(cs.InputError, match="cannot read"):
        cs.reroute(ring, "explicit:ways.toml")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("leaf {0-1}", "leaf {0-99999999999999999999}", "stands for more than 1000000 names"),
        ('latency = "1us"\n', 'latency = "1us"\nparallel = 100000000000\n', "of memory"),
        ("from = ", "from = []\n#", "'from' names no node"),
        ("ranks = ", "# ", "the key 'ranks' is missing"),
        ("ranks = ", "summary = 3\nranks = ", "summary must be text, got 3"),
        ("ranks = ", "source = [1]\nranks = ", "source must be text, got [1]"),
        ('latency = "1us"', 'latency = {value = "1us", source = 3}', "the source of a latency must be text, got 3"),
        (None, "[[route]]\nfrom = 0\nto = 0\nvia = []\n", "route 1: it must lead from one rank to another, got 0 to 0"),
    ],
)
def test_what_is_far_too_large_or_of_the_wrong_kind_is_refused(tmp_path, old, new, part):
    assert old is None or old in LEAVES
    assert part in refusal(tmp_path, LEAVES + new if old is None else LEAVES.replace(old, new, 1))
