"""What studies are judged by: the policy with its lists, as they stand in storage."""
