"""Own graphs as data sets: from files, packed folders and Python objects, with rules for their splits."""
