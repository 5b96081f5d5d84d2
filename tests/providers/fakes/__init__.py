"""Fakes of vendors that speak their documented bodies, errors and signatures, over real HTTP on loopback."""
