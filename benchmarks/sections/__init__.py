"""One module a section of the table; each has ``measure(bench) -> list[Row]`` and loads the standard library only."""
