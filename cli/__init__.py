"""The command line: an edge that knows everything inward, and neither `api` nor `workers`."""
