"""Costs measured from the fills of live sessions."""
