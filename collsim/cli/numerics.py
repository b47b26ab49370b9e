"""``collsim numerics``: how exactly each algorithm sums."""

from __future__ import annotations

from typing import Any

import click

from collsim.cli import comma_separated
from collsim.cli.options import algorithm_options, parse_options
from collsim.cli.output import print_json, print_table
from collsim.errors import InputError
from collsim.rounding import DATA, DTYPES, get_format, numerics


@click.command(
    "numerics",
    epilog="""\b
Examples:
  collsim numerics all_reduce -n 64 --dtype bfloat16 --data normal
  collsim numerics all_reduce -n 64 -a ring,tree --dtype float8_e4m3fn --data uniform --json
  collsim numerics reduce_scatter -n 6 --dtype float32 --data cancelling --other-ranks 7

\b
Same for K': max(K, K') fixed vectors are shared out in blocks among K workers, and among K'; each
adds its own from left to right, then all reduce. 'yes' if both results have the same bits.
""",
)
@click.argument("collective")
@click.option("-n", "--ranks", required=True, metavar="K", help="Number of ranks.")
@click.option(
    "-a",
    "--algorithms",
    metavar="NAME,...",
    callback=comma_separated,
    help="Names, or file.py:function (default: all that work for K ranks).",
)
@click.option(
    "--dtype", default="float32", show_default=True, type=click.Choice(DTYPES), help="Of data and of additions."
)
@click.option(
    "--data",
    default="normal",
    show_default=True,
    type=click.Choice(list(DATA)),
    help="; ".join(f"{name}: {what}" for name, what in DATA.items()) + ".",
)
@click.option("--elements", default="1000", show_default=True, metavar="N", help="Length of each rank's vector.")
@click.option("--seed", default="0", show_default=True, metavar="N", help="Of the data.")
@click.option("--other-ranks", metavar="K'", help="Compare the result with that of K' ranks (default: 2 K).")
@click.option("--scale", metavar="X", help="Multiply the data by X (default: 1, or less so that nothing overflows).")
@algorithm_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, a record an algorithm.")
def command(
    collective: str,
    ranks: str,
    algorithms: list[str],
    dtype: str,
    data: str,
    elements: str,
    seed: str,
    other_ranks: str | None,
    scale: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure how exactly each algorithm of a COLLECTIVE sums, and whether its bits can be reproduced."""
    records = numerics(
        collective,
        ranks,  # type: ignore[arg-type]
        algorithms=algorithms or None,
        dtype=dtype,
        data=data,
        elements=elements,  # type: ignore[arg-type]
        seed=seed,  # type: ignore[arg-type]
        other_ranks=other_ranks,  # type: ignore[arg-type]
        scale=None if scale is None else _number(scale),
        **parse_options(options),
    )
    if as_json:
        print_json(records)
    else:
        _print(records)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"scale must be a positive number, got {text!r}") from None


def _print(records: list[dict[str, Any]]) -> None:
    first = records[0]
    scale = "" if first["scale"] == 1 else f", multiplied by {first['scale']:g}"
    title = (
        f"{first['collective']} on {first['ranks']} ranks: {first['elements']} {first['dtype']} a rank, "
        f"{first['data']} data ({DATA[first['data']]}; seed {first['seed']}){scale}"
    )
    other = first["other_ranks"]
    print_table(
        ["algorithm", "depth", "in ulp", "relative", "bound", "error/bound", "ranks agree", f"same for {other}"],
        [_cells(record) for record in records],
        title=title,
    )
    unit = get_format(first["dtype"]).unit
    click.echo(
        "\ndepth: additions on the longest way from a term to a sum. in ulp: largest error in units in the last\n"
        "place of the exact sum. relative: norm of the errors over norm of the exact sums. bound: the same of\n"
        f"gamma_depth sum|x|, gamma_m = m u/(1 - m u), u = {unit:g}; '-' where m u reaches 1. error/bound: of the\n"
        "worst element."
    )
    for record in records:
        if record["overflowed"]:
            click.echo(
                f"{record['algorithm']} overflows: {record['overflowed']} results are not finite "
                f"({record['dtype']} ends at {get_format(record['dtype']).largest:g}); a smaller --scale avoids it."
            )


def _cells(record: dict[str, Any]) -> list[str]:
    if record["overflowed"]:
        errors = ["overflow", *["-"] * 3]
    else:
        names = ("max_ulp", "relative_error", "bound", "error_over_bound")
        errors = ["-" if record[name] is None else f"{record[name]:.3g}" for name in names]
    answers = {True: "yes", False: "NO", None: "-"}
    return [
        record["algorithm"],
        str(record["depth"]),
        *errors,
        answers[record["ranks_agree"]],
        answers[record["same_for_other_ranks"]],
    ]
