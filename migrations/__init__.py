"""The database's migrations, oldest first; `service.store.database` runs them."""
