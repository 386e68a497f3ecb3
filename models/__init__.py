"""The records of Darkroom and the rules of their life.

Here "model" means what `migrations/` migrates: tables, their statuses and
their transitions.  Generative models are described in `catalogue/`.
"""
