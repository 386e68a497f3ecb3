"""The queues that somebody would pick instead, each doing nothing as many times as Darkroom does it.

Each module is what its worker processes import, and has a `contender()` for the
comparison.  Each is set up as its own documentation recommends for this load, with
its workers' concurrency as near to Darkroom's as its kind of worker allows.
"""
