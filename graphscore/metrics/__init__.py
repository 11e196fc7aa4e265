"""How good samples are, one family of measures per file. Nothing is imported here: each has its own needs."""
