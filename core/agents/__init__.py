"""Field agents."""
