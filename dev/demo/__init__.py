"""``script/demo``: the whole system under traffic, and a report of what became of it."""
