"""From a plan of features to one compiled loop: allocation, code generation, compilation."""
