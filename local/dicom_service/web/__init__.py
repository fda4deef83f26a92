"""What is the same for every request: tokens, errors, JSON, paging, the socket."""
