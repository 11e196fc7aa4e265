"""Formats of files, read and written without running code from them."""
