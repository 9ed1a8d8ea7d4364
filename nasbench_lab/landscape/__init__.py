"""What the values of a table look like as a landscape."""
