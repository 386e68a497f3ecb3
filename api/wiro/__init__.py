"""Wiro's API: its doors, its words, its pages and its socket."""
