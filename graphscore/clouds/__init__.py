"""Point clouds: handwritten digits as data, distances of clouds, pictures."""
