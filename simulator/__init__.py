"""The four vendors' HTTP dialects on loopback, from their documents, with a ledger of what was charged.

It shares no code with the adapters: a misreading in one of them must not be repeated by the other.

    with simulator.running(latency="0.2-0.6") as vendors:
        vendors.fault("wiro", "down")  # and vendors.url, .environment, .ledger(), .requests("wiro"), .heal()
"""

from simulator.child import Refusal, Running, running

__all__ = ["Refusal", "Running", "running"]
