"""Extended query tags: their resources, their rows, indexing by them, and the operations that do it."""
