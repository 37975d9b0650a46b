"""From a plan of features to one compiled loop."""
