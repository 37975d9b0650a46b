"""Policies: from an observation to an action.

``policies`` (the trained policy and the baselines), ``network`` (the door to the networks below), ``onnx_network`` (the
file format, on onnxruntime), ``compiled_network`` (one session, compiled), ``compiled_ensemble`` (several networks that
decide together).
"""
