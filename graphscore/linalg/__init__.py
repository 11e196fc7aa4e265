"""Linear algebra on ragged batches: superposition, covariances, divergences, linear systems and ODE solver."""
