"""Search: the query string, its SQL, the fields of the results."""
