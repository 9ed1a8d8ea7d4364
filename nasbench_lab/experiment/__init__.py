"""What a comparison is: a class, and its form as a file."""
