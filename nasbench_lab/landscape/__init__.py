"""The values of a table as a fitness landscape."""
