"""Training: what to optimise (torch only) and, in ``engine``, the loop around it."""
