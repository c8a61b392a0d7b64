"""Every strategy of ours, one file per library or mechanism; each module ends with its ``STRATEGIES``.

What several of them share stands in the modules whose names begin with an underscore, which the registry
skips. What a strategy stands on is imported when it is opened, never before.
"""
