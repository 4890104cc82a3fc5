"""Load on the loopback address: `verdict` compares recorded with counted, `bench` prints figures."""
