"""How things are measured and told: clocks, tables, instruction sets, long histories."""
