"""Checks of data and of files of graphs, before training and without sampling."""
