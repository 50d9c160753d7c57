"""How the service is set up: from the environment (`EVOMERGE_...`), with defaults for one machine."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All that may differ between two installations.

    Attributes:
        home: Folder of the embedded database, the exports and the logs.
        database_url: An SQLAlchemy URL; None is an SQLite file in the home.
        api_key: Asked of every request once it is set; without it the service stays on loopback.
        allowed_hosts: Names under which the service may be reached, beside loopback's.
        workforce: `ray`, or `inline` to merge and score inside the controller (needs torch there).
        workers: How many workers; None fills the machine.
        lease_seconds: How long another controller waits before it takes over a silent one's work.
    """

    model_config = SettingsConfigDict(env_prefix="EVOMERGE_", extra="ignore")

    home: Path = Path("evomerge-runs")
    database_url: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    api_key: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    workforce: Literal["ray", "inline"] = "ray"
    workers: Annotated[int, Field(ge=1)] | None = None
    gpus_per_worker: Annotated[float, Field(gt=0)] = 1.0
    lease_seconds: Annotated[float, Field(ge=2)] = 10.0

    @model_validator(mode="after")
    def _stay_on_loopback(self) -> Self:
        if self.api_key is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is reachable from other machines and no key is set; "
                "set EVOMERGE_API_KEY to a long random text, or bind to 127.0.0.1"
            )
        return self

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database in use."""
        return self.database_url or f"sqlite:///{(self.home / 'evomerge.db').absolute()}"

    @property
    def exports(self) -> Path:
        """Where exported checkpoints are written unless the user names a folder."""
        return self.home.absolute() / "exports"


def is_loopback(host: str) -> bool:
    """Says whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
