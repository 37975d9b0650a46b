"""The simulator: NautilusTrader's bar execution repeated exactly, compiled, over many accounts at a time.

`market` makes a `TrainingMarket` from bars; `lanes` steps accounts through it, `lanes.rollout` runs whole episodes;
`validation_folds` sets validation sessions apart from it; `kernels` and `matching` are the compiled rules over the
records of `arrays`.
"""
