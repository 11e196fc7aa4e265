"""Training runs: built from a configuration, started, resumed and recorded."""
