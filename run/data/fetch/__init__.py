"""Downloads from vendors into the catalog."""
