"""Writes a migration from the difference between the newest tables and `service/store/models.py`.

python scripts/new_migration.py "what changes"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from alembic import command

from service.store.database import Database, migration_config
from service.store.models import Base
from service.store.types import UtcDateTime


def rendered(kind: str, item: object, _: object) -> str | Literal[False]:
    """Writes the project's own column type as the generic one it is made of."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def main() -> None:
    """Compares a fresh database with the model."""
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'newest.db'}")
        database.upgrade()
        with database.engine.begin() as connection:
            config = migration_config(connection)
            config.attributes |= {"metadata": Base.metadata, "render_item": rendered}
            command.revision(config, message=sys.argv[1], autogenerate=True)
        database.close()


if __name__ == "__main__":
    main()
