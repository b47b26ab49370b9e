"""The timeline as a Parquet file: `Result.to_frame`, with what the glossary says about each column beside it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from collsim.errors import MissingDependencyError
from collsim.glossary import GLOSSARY
from collsim.results import Result, SymmetricResult


def require() -> None:
    """Raise a `MissingDependencyError` that says how to install pyarrow, unless it can be imported."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"Parquet files need pyarrow ({error}); install it with: pip install 'collsim[parquet]'"
        ) from None


def encode(result: Result) -> Iterator[bytes]:
    """Return the file, in one piece; every column has ``unit`` and ``meaning`` among its metadata."""
    require()
    import pyarrow
    import pyarrow.parquet

    columns = GLOSSARY["steps" if isinstance(result, SymmetricResult) else "moves"]
    table = pyarrow.Table.from_pandas(result.to_frame(), preserve_index=False)
    fields = [field.with_metadata(columns[field.name]._asdict()) for field in table.schema]
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.cast(pyarrow.schema(fields)), buffer)
    return iter([buffer.getvalue()])
