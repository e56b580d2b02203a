"""Quantisation: how many bits the weights of each output channel take, and which values those bits stand for."""
