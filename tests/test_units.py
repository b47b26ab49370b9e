from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collsim.errors import CollsimError, InputError
from collsim.units import (
    format_bandwidth,
    format_size,
    format_time,
    parse_bandwidth,
    parse_count,
    parse_size,
    parse_time,
    parse_time_per_byte,
)

PARSERS = (parse_size, parse_bandwidth, parse_time, parse_time_per_byte)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("0", 0),
        ("12", 12),
        ("12B", 12),
        ("4kB", 4 * 10**3),
        ("4KB", 4 * 10**3),
        ("4MB", 4 * 10**6),
        ("4GB", 4 * 10**9),
        ("4TB", 4 * 10**12),
        ("4PB", 4 * 10**15),
        ("4KiB", 4 * 2**10),
        ("4MiB", 4 * 2**20),
        ("4GiB", 4 * 2**30),
        ("4TiB", 4 * 2**40),
        ("4PiB", 4 * 2**50),
        ("8bit", 1),
        ("8Mbit", 10**6),
        ("8Gbit", 10**9),
        ("8Gb", 10**9),
        ("8Gibit", 2**30),
        ("4.1GB", 4_100_000_000),
        ("0.1GB", 10**8),
        (".5kB", 500),
        ("1e3", 1000),
        ("1e-3kB", 1),
        ("1_000", 1000),
        (" 4 GB ", 4 * 10**9),
        (4096.0, 4096),
        (np.int64(7), 7),
    ],
)
def test_a_size_is_the_exact_number_of_bytes(text, nbytes):
    size = parse_size(text)
    assert size == nbytes
    assert isinstance(size, int)


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        ("10GB/s", 1e10),
        ("10GiB/s", 10 * 2.0**30),
        ("200Gbit/s", 25e9),
        ("200Gb/s", 25e9),
        ("200Gbps", 25e9),
        ("100bps", 12.5),
        ("1B/s", 1.0),
        ("2.5e3MB/s", 2.5e9),
        (1e10, 1e10),
        (np.float32(2.0), 2.0),
    ],
)
def test_a_bandwidth_is_in_bytes_per_second(text, bytes_per_second):
    assert parse_bandwidth(text) == bytes_per_second


@pytest.mark.parametrize("unit", ["us", "µs", "μs"])
def test_a_micro_may_be_written_in_three_ways(unit):
    assert parse_time(f"5{unit}") == 5e-6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1.5s", 1.5), ("300ms", 0.3), ("5us", 5e-6), ("700ns", 7e-7), ("3ps", 3e-12), ("2", 2.0), (0, 0.0)],
)
def test_a_time_is_in_seconds(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["0.1ns/B", "0.1ns", "100ps/B", 1e-10])
def test_beta_is_in_seconds_per_byte_with_or_without_the_slash(text):
    assert parse_time_per_byte(text) == 1e-10


def test_decimal_and_binary_prefixes_differ():
    # The trap: a rate printed as GB/s that is GiB/s is off by 7.4 %.
    assert parse_bandwidth("1GiB/s") / parse_bandwidth("1GB/s") == 2**30 / 1e9
    assert parse_size("1GiB") - parse_size("1GB") == 73_741_824


@given(st.integers(0, 10**12), st.sampled_from([("ns", 9), ("us", 6), ("ms", 3), ("ps", 12)]))
def test_decimal_text_becomes_the_nearest_double(digits, unit):
    name, exponent = unit
    assert parse_time(f"{digits}{name}") == float(Fraction(digits, 10**exponent))


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "wrong",
    [
        *("", "fast", "GB", "5 5", "5furlong", "--5", "0x10", "5,0GB", "nan", "inf", "1e999"),
        *(float("nan"), float("inf"), None, True, [], 1j, b"5"),
    ],
)
def test_what_is_no_quantity_is_refused_with_its_value_in_one_line(parse, wrong):
    with pytest.raises(InputError) as refused:
        parse(wrong, "this thing")
    message = str(refused.value)
    assert message.startswith("this thing ")
    assert repr(wrong) in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("parse", "wrong", "unit", "accepted"),
    [
        (parse_bandwidth, "10 GBs", "GBs", "10GB/s"),
        (parse_bandwidth, "10GB", "GB", "10GB/s"),
        (parse_bandwidth, "10gb/s", "gb/s", "10GB/s"),
        (parse_size, "1K", "K", "512KiB"),
        (parse_size, "1G", "G", "4GiB"),
        (parse_size, "4gb", "gb", "4GB"),
        (parse_size, "4GB/s", "GB/s", "4GB"),
        (parse_time, "5m", "m", "300ms"),
        (parse_time, "5us/B", "us/B", "5us"),
        (parse_time_per_byte, "1GB/s", "GB/s", "0.1ns/B"),
    ],
)
def test_an_unknown_or_ambiguous_unit_is_refused_with_the_accepted_spellings(parse, wrong, unit, accepted):
    with pytest.raises(InputError) as refused:
        parse(wrong)
    for part in (repr(wrong), repr(unit), accepted):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("parse", "wrong"),
    [
        (parse_size, -1),
        (parse_size, "-1B"),
        (parse_size, "0.5B"),
        (parse_size, 1.5),
        (parse_size, "1bit"),
        (parse_bandwidth, 0),
        (parse_bandwidth, "0GB/s"),
        (parse_bandwidth, -1.0),
        (parse_time, "-5us"),
        (parse_time, -1e-300),
        (parse_time_per_byte, "-0.1ns"),
    ],
)
def test_a_value_out_of_range_is_refused(parse, wrong):
    with pytest.raises(InputError, match="must") as refused:
        parse(wrong)
    assert repr(wrong) in str(refused.value)


def test_an_input_error_is_a_collsim_error_and_a_value_error():
    with pytest.raises(CollsimError):
        parse_size("x")
    with pytest.raises(ValueError, match="'x'"):
        parse_size("x")


@given(st.sampled_from(PARSERS), st.text("0123456789.+-eE GMKiBbits/unp", max_size=12))
def test_any_text_is_either_a_finite_quantity_or_an_input_error(parse, text):
    try:
        value = parse(text)
    except InputError as error:
        assert repr(text) in str(error)  # noqa: PT017
    else:
        assert 0 <= value < float("inf")


@pytest.mark.parametrize("text", ["1__0GB", "1_GB", "5_.5kB"])
def test_misplaced_underscores_are_refused(text):
    try:
        parse_size(text)
    except InputError as error:
        assert repr(text) in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("parse", "value"), [(parse_size, 10**400), (parse_bandwidth, "1e308GB/s"), (parse_bandwidth, 10**400)]
)
def test_what_no_double_can_hold_is_refused(parse, value):
    with pytest.raises(InputError):
        parse(value)


def test_a_whole_number_of_bytes_is_kept_however_large():
    assert parse_size(2**53 + 1) == 2**53 + 1


@pytest.mark.parametrize("value", [8, 8.0, "8", np.int32(8), np.float64(8)])
def test_a_count_is_a_whole_number_however_written(value):
    count = parse_count(value, "ranks")
    assert count == 8
    assert type(count) is int


@pytest.mark.parametrize("value", [0, -1, 2.5, "2.5", "", "eight", None, True, float("nan"), float("inf"), [8]])
def test_what_is_no_count_is_refused_with_its_value(value):
    with pytest.raises(InputError) as refused:
        parse_count(value, "ranks")
    assert str(refused.value) == f"ranks must be a whole number of at least 1, got {value!r}"


def test_a_count_may_have_another_minimum():
    assert parse_count(0, "root", minimum=0) == 0
    with pytest.raises(InputError, match="at least 0, got -1"):
        parse_count(-1, "root", minimum=0)


@given(st.floats(1e-12, 1e5))
def test_a_formatted_time_reads_back_to_four_digits(seconds):
    assert parse_time(format_time(seconds)) == pytest.approx(seconds, rel=5.1e-4)


@given(st.integers(1, 10**17))
def test_a_formatted_size_reads_back_to_four_digits(nbytes):
    assert parse_size(format_size(nbytes)) == pytest.approx(nbytes, rel=5.1e-4)


@given(st.floats(1, 1e16))
def test_a_formatted_bandwidth_reads_back_to_four_digits(rate):
    assert parse_bandwidth(format_bandwidth(rate)) == pytest.approx(rate, rel=5.1e-4)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (format_time(0.99996e-3), "1 ms"),
        (format_time(-5e-6), "-5 us"),
        (format_size(999.96e6), "1 GB"),
        (format_size(123456e15), "123456 PB"),
        (format_bandwidth(0), "0 B/s"),
        (format_bandwidth(float("inf")), "-"),
    ],
)
def test_formats_at_their_edges(written, text):
    assert written == text
