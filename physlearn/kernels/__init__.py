"""The compiled loops: plain arrays in, arrays and scalars out. The only folder that imports numba."""
