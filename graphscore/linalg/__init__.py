"""Linear algebra and calculus on ragged rows, without time or noise: superposition, covariances, divergences."""
