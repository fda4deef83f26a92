"""What asks: the load of a measurement, in processes of its own."""
