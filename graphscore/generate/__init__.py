"""Generation of samples for many graphs by one sampler, in batches of limited size."""
