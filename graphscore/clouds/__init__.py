"""Point clouds: handwritten digits as a data set, distances between clouds, and pictures."""
