"""The durable memory: tables, migrations' target, every query, and the database's journal."""
