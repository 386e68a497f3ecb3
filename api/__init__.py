"""The HTTP edge: Wiro's API and our own, over the same jobs."""
