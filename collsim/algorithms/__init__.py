"""The algorithms, one file a family: plain functions ``(ranks, **options) -> Schedule``.

Each writes moves and nothing else. What a user can ask for by name stands in `collsim.catalog`.
"""
