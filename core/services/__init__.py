"""What channels, workers and console call. Each owns its transactions."""
