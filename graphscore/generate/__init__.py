"""Generation: many graphs by one sampler, in size-budgeted batches, each with its own randomness."""
