"""The models: their parameters, as numbers and as text, what is refused, and how one is chosen."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest
from click.testing import CliRunner

import collsim as cs
from collsim.cli.run import command as run_command
from collsim.models import CALIBRATIONS, MODELS, route_costs
from collsim.simulation import check_settings, choose_model
from collsim.topology import Route

RING = cs.make_schedule("all_reduce", "ring", ranks=4)
STAR = cs.star(4, "10GB/s", "2.5us")


def test_the_models_are_these_and_say_what_they_are():
    assert list(MODELS) == ["alpha-beta", "loggp", "maxmin", "fifo"]
    for name, model in MODELS.items():
        assert model.name == name
        assert model.summary


def test_text_and_numbers_are_the_same_parameters():
    assert cs.AlphaBeta("5us", "0.1ns/B") == cs.AlphaBeta(5e-6, 1e-10)
    text = cs.LogGP(L="2500ns", o="1500ns", g="1us", G="6ns/B", O="1ns", S="64KiB")
    assert text == cs.LogGP(L=2.5e-6, o=1.5e-6, g=1e-6, G=6e-9, O=1e-9, S=65536)
    assert cs.Fifo(STAR, "4KiB") == cs.Fifo(STAR, packet_bytes=4096)
    assert cs.MaxMin(STAR, "2", "0.5").latency_factor == 2


def test_loggp_has_the_defaults_of_its_documentation():
    model = cs.LogGP(L=1, G=2)
    assert (model.o, model.g, model.O, model.S) == (0, 0, 0, 65535)


@pytest.mark.parametrize("model", [cs.AlphaBeta(1, 2), cs.LogGP(L=1, G=2), cs.MaxMin(STAR), cs.Fifo(STAR, 5)], ids=repr)
def test_a_model_may_go_to_another_process(model):
    again = pickle.loads(pickle.dumps(model))
    assert cs.simulate(RING, nbytes=4096, model=again).time == cs.simulate(RING, nbytes=4096, model=model).time


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: cs.AlphaBeta("5 uss", 0), "alpha '5 uss' has the unknown unit 'uss'"),
        (lambda: cs.AlphaBeta(None, 0), "alpha must be a number or text, got None"),
        (lambda: cs.AlphaBeta(1, -1), "beta must not be negative, got -1"),
        (lambda: cs.AlphaBeta(1, topology=STAR), "give either those or a topology"),
        (lambda: cs.AlphaBeta(topology="star:4"), "topology of model 'alpha-beta' must be a Topology"),
        (lambda: cs.LogGP(), "model 'loggp' needs a topology, or its parameters L and G"),
        (lambda: cs.LogGP(L=1), "(G missing)"),
        (lambda: cs.LogGP(o=1), "(L and G missing)"),
        (lambda: cs.LogGP(L=1, topology=STAR), "takes L and G from the topology, so L cannot be given too"),
        (lambda: cs.LogGP(L=1, G=1, S=-1), "S must not be negative, got -1"),
        (lambda: cs.LogGP(L=1, G=1, g="1GB"), "g '1GB' has the unknown unit 'GB'"),
        (lambda: cs.MaxMin(None), "model 'maxmin' needs a topology, for example 'star:8'"),
        (lambda: cs.MaxMin("star:4"), "topology of model 'maxmin' must be a Topology"),
        (lambda: cs.MaxMin(STAR, latency_factor=0), "latency_factor must be a positive number, got 0"),
        (lambda: cs.MaxMin(STAR, bandwidth_factor="fast"), "bandwidth_factor must be a positive number, got 'fast'"),
        (lambda: cs.MaxMin(STAR, bandwidth_factor=True), "bandwidth_factor must be a positive number, got True"),
        (lambda: cs.MaxMin(STAR, calibration="LV8"), "unknown calibration 'LV8'; did you mean 'LV08'?"),
        (lambda: cs.MaxMin(STAR, 2, calibration="LV08"), "sets latency_factor and bandwidth_factor; give either"),
        (lambda: cs.Fifo(None), "model 'fifo' needs a topology, for example 'star:8'"),
        (lambda: cs.Fifo(STAR, 0), "packet_bytes must be at least 1 byte, got 0"),
        (lambda: cs.Fifo(STAR, "0.5B"), "packet_bytes must be a whole number of bytes, got '0.5B'"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said_in_one_line(make, part):
    with pytest.raises(cs.InputError) as refused:
        make()
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


# Calibration


def test_lv08_has_simgrids_factors_on_every_link_and_whoever_reads_the_topology_sees_them():
    assert CALIBRATIONS["LV08"] == (13.01, 0.97)
    model = cs.MaxMin(STAR, calibration="LV08")
    assert (model.latency_factor, model.bandwidth_factor) == (13.01, 0.97)
    assert model.topology.latency.tolist() == pytest.approx((13.01 * STAR.latency).tolist(), rel=1e-15)
    assert model.topology.bandwidth.tolist() == pytest.approx((0.97 * STAR.bandwidth).tolist(), rel=1e-15)
    assert model.topology.name == STAR.name
    latency, bandwidth = route_costs(model.topology, RING.src, RING.dst)
    assert latency == pytest.approx(13.01 * 5e-6)
    assert bandwidth == pytest.approx(0.97e10)


def test_without_factors_the_topology_stays_the_same_object():
    assert cs.MaxMin(STAR).topology is STAR


@pytest.mark.parametrize("nbytes", [0, 4, 4_000_000])
def test_a_calibrated_run_takes_the_factors_times_latency_and_bytes(nbytes):
    plain = {part: cs.simulate(RING, STAR, size).time for part, size in (("latency", 0), ("all", nbytes))}
    both = cs.simulate(RING, STAR, nbytes, parameters={"calibration": "LV08"}).time
    expected = 13.01 * plain["latency"] + (plain["all"] - plain["latency"]) / 0.97
    assert both == pytest.approx(expected, rel=1e-12)
    factors = {"latency_factor": 13.01, "bandwidth_factor": "0.97"}
    assert cs.simulate(RING, STAR, nbytes, parameters=factors).time == both


# Choosing one


@pytest.mark.parametrize(
    ("given", "model", "name"),
    [
        ({"alpha": 1, "beta": "2s"}, cs.AlphaBeta(1, 2), None),
        ({"parameters": {"alpha": 1, "beta": 2}}, cs.AlphaBeta(1, 2), None),
        ({"alpha": 1, "parameters": {"beta": 2}}, cs.AlphaBeta(1, 2), None),
        ({"topology": STAR}, cs.MaxMin(STAR), "star:4"),
        ({"topology": STAR, "model": "alpha-beta"}, cs.AlphaBeta(topology=STAR), "star:4"),
        ({"topology": STAR, "model": "fifo", "parameters": {"packet_bytes": "1kB"}}, cs.Fifo(STAR, 1000), "star:4"),
        ({"topology": STAR, "model": "loggp", "parameters": {"o": "1us"}}, cs.LogGP(o=1e-6, topology=STAR), "star:4"),
        ({"model": "loggp", "parameters": {"L": 1, "G": 2}}, cs.LogGP(L=1, G=2), None),
        ({"model": cs.LogGP(L=1, G=2)}, cs.LogGP(L=1, G=2), None),
        ({"model": cs.Fifo(STAR)}, cs.Fifo(STAR), "star:4"),
        ({"model": cs.Fifo(STAR), "topology": STAR}, cs.Fifo(STAR), "star:4"),
    ],
)
def test_a_model_is_chosen_by_name_by_what_is_given_or_as_it_is(given, model, name):
    everything = {"topology": None, "model": None, "alpha": None, "beta": None} | given
    assert choose_model(4, **everything) == (model, name)


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"model": "lopg"}, "unknown model 'lopg'; did you mean 'loggp'?"),
        ({"model": cs.Fifo}, "unknown model"),
        ({"model": "fifo"}, "model 'fifo' needs a topology"),
        ({"model": "fifo", "parameters": {"packet_bytes": 1}}, "model 'fifo' needs a topology"),
        ({"model": "loggp"}, "model 'loggp' needs a topology, or its parameters L and G"),
        ({"model": "loggp", "alpha": 1}, "unknown parameter of model 'loggp': 'alpha'"),
        ({"topology": STAR, "parameters": {"packet_bytes": 1}}, "unknown parameter of model 'maxmin': 'packet_bytes'"),
        ({"topology": STAR, "model": "fifo", "parameters": {"packetbytes": 1}}, "did you mean 'packet_bytes'?"),
        ({"topology": STAR, "model": "loggp", "parameters": {"G": 1}}, "so G cannot be given too"),
        ({"topology": STAR, "parameters": ["calibration"]}, "parameters must be a mapping such as"),
        ({"alpha": 1, "parameters": {"alpha": 1}}, "alpha is given twice"),
        ({"parameters": {"alpha": 1}}, "no network: give a topology, or alpha and beta (beta missing)"),
        ({"model": cs.Fifo(STAR), "parameters": {"packet_bytes": 1}}, "'packet_bytes' cannot be given beside a model"),
        ({"model": cs.AlphaBeta(1, 1), "alpha": 1}, "'alpha' cannot be given beside a model"),
        ({"model": cs.AlphaBeta(1, 1), "topology": STAR}, "topology cannot be given beside a model"),
        ({"model": cs.Fifo(cs.star(3, 1e9, 0))}, "'star:3' has 3 ranks, fewer than the 4 asked for"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(given, part):
    with pytest.raises(cs.InputError) as refused:
        cs.simulate(RING, **given)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_settings_have_the_header_in_bytes():
    assert check_settings(4, 8)[3] == 0
    assert check_settings(4, 8, header_bytes="2kB")[3] == 2000
    with pytest.raises(cs.InputError, match="header_bytes must not be negative, got -1"):
        check_settings(4, 8, header_bytes=-1)


# On the command line


def shell(*arguments):
    return CliRunner().invoke(run_command, ["all_reduce", "-a", "ring", "-n", "4", "-s", "4MB", "--json", *arguments])


def test_parameters_and_headers_may_be_given_on_the_command_line():
    network = ["-t", "star", "--bandwidth", "10GB/s", "--latency", "2.5us"]
    done = shell(*network, "--model", "fifo", "-p", "packet-bytes=100kB", "--header-bytes", "1kB")
    assert done.exit_code == 0, done.output
    expected = cs.simulate(
        RING, STAR, "4MB", model="fifo", parameters={"packet_bytes": 100_000}, header_bytes=1000
    ).to_dict()
    found = json.loads(done.output)
    for key in ("time_s", "wire_bytes", "model", "messages_between_groups", "bytes_between_groups"):
        assert found[key] == expected[key]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["-p", "L"], "a parameter must be KEY=VALUE, such as packet_bytes=4KiB, got 'L'"),
        (["-p", "L=1", "-p", "L=2"], "parameter 'L' is given twice"),
    ],
)
def test_a_parameter_that_is_none_is_refused(arguments, part):
    done = shell("--model", "loggp", *arguments)
    assert isinstance(done.exception, cs.InputError)
    assert part in str(done.exception)


# An idle network

AIR = {"medium": "air"}
UNLIKE = {}, {"fatpipe": True}, AIR


def chain(*more):
    """Ranks 0 and 1 joined by switches, each link three times as fast and as far as the one before, and a way back."""
    nodes = [0, *(f"switch {i}" for i in range(1, len(more))), 1]
    links = [cs.Link(*nodes[i : i + 2], 1e6 * 3.0**i, 1e-6 * 3.0**i, **kind) for i, kind in enumerate(more)]
    return cs.Topology("chain", 2, [*links, cs.Link(1, 0, 1e9, 0.0)])


@pytest.mark.parametrize(
    "net",
    [
        *(chain(*kinds) for n in (1, 2, 3) for kinds in itertools.product(UNLIKE, repeat=n) if kinds.count(AIR) < 2),
        cs.load_topology("bus:3", bandwidth="3MB/s", latency="2us"),
        cs.load_topology("backbone:3,fatpipe=true", bandwidth="3MB/s,1MB/s", latency="2us,1us"),
        cs.load_topology("leaf-spine:2x2", bandwidth="3MB/s,1MB/s", latency="2us,1us", placement="0,2,1,3"),
    ],
    ids=lambda net: net.name,
)
@pytest.mark.parametrize(("size", "header"), [(0, 0), (0, 7), (1, 0), (1000, 0), (1000, 24)])
def test_a_message_alone_takes_its_latencies_and_its_bytes_over_the_least_bandwidth(net, size, header):
    plan = cs.ScheduleBuilder("all_reduce", net.ranks)
    plan.copy(0, 0, 1)

    def time(model, **parameters):
        return cs.simulate(plan.build(), net, size, model=model, parameters=parameters, header_bytes=header).time

    route = [net.links[number] for number in net.route(0, 1)]
    nbytes, latency, slowest = size + header, sum(link.latency for link in route), min(link.bandwidth for link in route)
    law = latency + nbytes / slowest
    assert time("maxmin") == pytest.approx(law, rel=1e-12)
    assert time("alpha-beta") == pytest.approx(law, rel=1e-12)
    assert time("loggp", o=1) == pytest.approx(2 + latency + max(0, nbytes - 1) / slowest, rel=1e-12)
    assert time("fifo") == pytest.approx(latency + sum(nbytes / link.bandwidth for link in route), rel=1e-12)
    assert time("fifo", packet_bytes=2000) == time("fifo")
    # The first packet goes through all links, and the rest is behind it on the slowest.
    packets = time("fifo", packet_bytes=10)
    assert law * (1 - 1e-12) <= packets <= law + sum(10 / link.bandwidth for link in route)


# Costs of pairs


def spread(topology, src, dst):
    return [Route(0.5, (0,)), Route(0.5, (1, 2))] if (src, dst) == (0, 1) else [Route(1.0, (3,))]


def test_alpha_and_beta_of_a_pair_are_those_of_a_message_alone_on_its_routes():
    links = [cs.Link(0, 1, 4.0, 1.0), cs.Link(0, "s", 8.0, 2.0), cs.Link("s", 1, 2.0, 3.0), cs.Link(1, 0, 1.0, 0.0)]
    net = cs.Topology("spread", 2, links, routes=spread)
    alpha, beta = cs.AlphaBeta(topology=net).costs(np.array([0, 1]), np.array([1, 0]))
    assert alpha.tolist() == [5, 0]
    assert beta.tolist() == [0.25, 1.0]  # half of the bytes at 2 B/s


@pytest.mark.parametrize("spec", ["star:6", "star:6,half_duplex=true", "backbone:5,fatpipe=true", "torus:3x4", "bus:4"])
def test_costs_of_many_messages_are_those_of_each_route(spec):
    net = cs.load_topology(spec, bandwidth="10GB/s", latency="2us")
    net = cs.override(net, "0-in" if "backbone" in spec else "0", latency="3.1us")
    src, dst = (ends.ravel().astype(np.int32) for ends in np.meshgrid(np.arange(net.ranks), np.arange(net.ranks)))
    latency, bandwidth = route_costs(net, src, dst)
    for i, pair in enumerate(zip(src.tolist(), dst.tolist(), strict=True)):
        own = pair[0] == pair[1]
        assert latency[i] == (0.0 if own else net.route_latency(*pair))
        assert bandwidth[i] == (np.inf if own else net.route_bandwidth(*pair))
