"""The bundle: everything that shaped a policy, in one verified directory."""
