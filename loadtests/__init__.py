"""Load tests on the loopback address: `verdict` compares recorded with counted, `bench` measures."""
