"""Stands in for `models/pipeline` in the tests of `hearth models adapt --adapter`."""
