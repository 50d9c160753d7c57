"""All candidates of an experiment as a data frame of pandas, which is imported when it is asked for."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from service.client.errors import ClientError

if TYPE_CHECKING:
    import pandas as pd


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
