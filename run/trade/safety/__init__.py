"""Verbs that keep trading safe: doctor, flatten, unhalt."""
