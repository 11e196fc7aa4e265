"""Packed graphs: folders of memory-mapped shards, how they are made and read, and caches of them."""
