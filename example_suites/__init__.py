"""Suites that measure real work on real input; read them as examples, run them to see your machine."""
