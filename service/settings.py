"""How the service is set up: from the environment (`EVOMERGE_...`), with defaults for one machine."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8000
SECRET = frozenset({"api_key", "database_url"})
SHORTEST_KEY = 20  # characters, where other machines can reach the service
NEW_KEY = "set EVOMERGE_API_KEY to a long random text (`openssl rand -hex 32` makes one)"


class Settings(BaseSettings):
    """All that may differ between two installations.

    Attributes:
        home: Folder of the embedded database and the exports.
        database_url: An SQLAlchemy URL; None is an SQLite file in the home.
        api_key: Asked of every request once it is set; without it the service stays on loopback.  Never
            empty; at least 20 characters where other machines can reach the service.
        allowed_hosts: Names under which the service may be reached, beside loopback's.
        workforce: `ray`, or `inline` to merge and score inside the controller (needs torch there).
        workers: How many workers; None fills the machine.
        max_experiments: How many experiments one controller runs at once; None runs as many as there are
            workers, and never more than that.
        trackers: Where every experiment is shown as well, separated by commas: `tensorboard:FOLDER`,
            `mlflow`, `wandb:PROJECT`.
        model_roots: Folders below which local parents must be; None allows all (see `for_requests`).
        export_roots: Folders below which exports may be written; None allows all.
        log_level: What the log tells: this and what weighs more.
        lease_seconds: How long another controller waits before it takes over a silent one's work.
        fewest_bytes_free: Of a disk that is written to; with fewer, experiments pause until there are more.
    """

    model_config = SettingsConfigDict(env_prefix="EVOMERGE_", extra="ignore")

    home: Path = Path("evomerge-runs")
    database_url: str | None = None
    host: str = DEFAULT_HOST
    port: Annotated[int, Field(ge=0, le=65535)] = DEFAULT_PORT
    api_key: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    workforce: Literal["ray", "inline"] = "ray"
    workers: Annotated[int, Field(ge=1)] | None = None
    max_experiments: Annotated[int, Field(ge=1)] | None = None
    gpus_per_worker: Annotated[float, Field(gt=0)] = 1.0
    trackers: str = ""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    lease_seconds: Annotated[float, Field(ge=2)] = 10.0
    fewest_bytes_free: Annotated[int, Field(ge=0)] = 200_000_000
    model_roots: Annotated[tuple[Path, ...] | None, NoDecode] = None
    export_roots: Annotated[tuple[Path, ...] | None, NoDecode] = None

    @field_validator("model_roots", "export_roots", mode="before")
    @classmethod
    def _split_folders(cls, value: object) -> object:
        """Reads folders as PATH is written, one after the other; empty allows none."""
        if not isinstance(value, str):
            return value
        return tuple(Path(part) for part in value.split(os.pathsep) if part.strip())

    @field_validator("api_key")
    @classmethod
    def _no_blank_key(cls, key: SecretStr | None) -> SecretStr | None:
        """Refuses a key that is there and says nothing: it would equal an empty password."""
        if key is None:
            return None
        text = key.get_secret_value()
        if not text.strip():
            raise ValueError(f"the key is {'blank' if text else 'empty'}; {NEW_KEY}, or do not set it at all")
        if text != text.strip() or not text.isprintable():
            raise ValueError(f"the key begins or ends with blanks, or has invisible characters; {NEW_KEY}")
        return key

    @model_validator(mode="after")
    def _stay_on_loopback(self) -> Self:
        if is_loopback(self.host):
            return self
        reach = f"host {self.host}"
        if self.api_key is None:
            raise ValueError(
                f"{reach} is reachable from other machines and no key is set; {NEW_KEY}, or bind to 127.0.0.1"
            )
        length = len(self.api_key.get_secret_value())
        if length < SHORTEST_KEY:
            raise ValueError(
                f"{reach} is reachable from other machines and the key has {length} characters, fewer than "
                f"{SHORTEST_KEY}; {NEW_KEY}, or bind to 127.0.0.1"
            )
        return self

    def for_requests(self) -> Self:
        """Returns the settings of a service that others may send requests to.

        Where no folders were named, the home, the user's own folder and the working folder are allowed.
        """
        usual = (self.home, Path.home(), Path.cwd())
        given = {"model_roots": self.model_roots, "export_roots": self.export_roots}
        missing = {name: usual for name, found in given.items() if found is None}
        return self.model_copy(update=missing)

    def told(self) -> list[tuple[str, str]]:
        """Returns all settings in words, by the environment's names; of secrets, whether they are set."""
        found = []
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in SECRET:
                text = "set" if value is not None else "not set"
            elif isinstance(value, tuple):
                text = ", ".join(str(part) for part in value) or "none"
            else:
                text = "not set" if value is None or value == "" else str(value)
            found.append((f"EVOMERGE_{name.upper()}", text))
        return found

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database in use."""
        return self.database_url or f"sqlite:///{(self.home / 'evomerge.db').absolute()}"

    @property
    def keeps_experiments(self) -> bool:
        """Says whether a service of this home has run: its embedded database is there."""
        return self.database_url is None and (self.home / "evomerge.db").exists()

    @property
    def exports(self) -> Path:
        """Where exported checkpoints are written unless the user names a folder."""
        return self.home.absolute() / "exports"


def address_of(host: str, port: int) -> str:
    """Returns the address under which a program on this machine reaches a service that listens there."""
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - not bound here
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def url_of(settings: Settings, port: int | None = None) -> str:
    """Returns the address under which a browser on this machine reaches the service."""
    return address_of(settings.host, settings.port if port is None else port)


def is_loopback(host: str) -> bool:
    """Says whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
