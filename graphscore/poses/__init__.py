"""Poses: positions of the joints of skeletons, with the data, files and metrics of this domain."""
