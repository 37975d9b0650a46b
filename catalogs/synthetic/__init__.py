"""Made-up data: sessions with a planted edge (`planted`), markets without one made of real bars (`null_markets`)."""

from catalogs.synthetic.planted import PlantedEdge, SyntheticBars, synthetic_provenance, synthetic_sessions

__all__ = ["PlantedEdge", "SyntheticBars", "synthetic_provenance", "synthetic_sessions"]
