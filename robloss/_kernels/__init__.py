"""The mathematics spelled for scalars, compiled by Numba. Imported at the first NumPy call only."""
