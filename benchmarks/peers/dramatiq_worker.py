"""What Dramatiq's command line imports: it wants its broker made at import."""

from benchmarks.peers.dramatiq_peer import for_worker

actor = for_worker()
