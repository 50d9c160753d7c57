"""Looking at models through texts: what merge methods need to know of them, and learned coefficients."""
