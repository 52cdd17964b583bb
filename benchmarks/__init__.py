"""What things cost, each beside a floor measured in the same run. Figures are printed, never asserted."""
