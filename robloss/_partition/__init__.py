"""The partition function Z(alpha): its table, the look-up, and the program that makes it."""
