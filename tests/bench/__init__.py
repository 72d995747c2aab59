"""The bench: what a sweep, a revision, a record and an idle cycle cost. ``make bench`` runs it; no test does."""
