"""The bundle: everything that shaped a policy, in one verified directory.

``bundle`` (`Bundle`, `load_bundle`, `write_bundle`), ``manifest`` (files, metadata, hashes), ``golden`` (outputs to
prove that nothing changed).
"""
