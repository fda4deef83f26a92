"""The lookups, described for machines: an OpenAPI document that is made from the table of routes."""
