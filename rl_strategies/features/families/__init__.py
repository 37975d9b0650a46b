"""The features that come with the project, one module per family."""
