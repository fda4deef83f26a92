"""How blobs come to be looked at: storage events, our own messages, what the platform set aside."""
