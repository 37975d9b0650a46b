"""What several benchmarks need: interleaved times, a trained policy."""
