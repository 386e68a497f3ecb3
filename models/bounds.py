"""The ranges of what a job may ask for; whoever takes it from a caller refuses the rest."""

PRIORITY_MAX = 100
"""A priority goes from minus this to this."""

SPAN_MIN_S, SPAN_MAX_S = 1, 366 * 24 * 3600
"""Of a deadline: a year, and a day more for a leap year; who wants longer wants none."""
