"""The change feed: the query, its SQL, points in time."""
