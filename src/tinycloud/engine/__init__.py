"""Making it so: reads the world, journals every step, runs plans, waits for machines."""
