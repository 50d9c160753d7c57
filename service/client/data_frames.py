"""All candidates of an experiment as a data frame, whose library is imported when it is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from service.client.errors import ClientError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def data_frame(csv: str) -> pd.DataFrame:
    """Returns the table of candidates, a row each; the index is the candidate's number.

    Raises:
        ClientError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ClientError("to_pandas() needs pandas, which is not installed", "pip install pandas") from error
    return pd.read_csv(io.StringIO(csv)).set_index("number")


def polars_frame(csv: str) -> pl.DataFrame:
    """Returns the table of candidates, a row each, as a data frame of polars.

    Raises:
        ClientError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise ClientError("to_polars() needs polars, which is not installed", "pip install polars") from error
    return pl.read_csv(io.BytesIO(csv.encode()), infer_schema_length=None)
