"""What is new and gone, from the service's change feed."""
