"""Sizes of the tensors of codec_tensors.py in bits, at 8 bit, by the EBPC authors' reference code."""

# kind, percent: zero_run_length (burst 16), csc (distance 16), bpc and ebpc (block 8, a run at the end is free)
SIZES = {
    ("iid", 0): (36864, 49152, 36167, 40263),
    ("iid", 40): (26806, 29268, 35778, 28853),
    ("iid", 75): (12766, 12120, 28589, 13629),
    ("iid", 90): (6137, 6096, 18805, 6416),
    ("runs", 0): (36864, 49152, 36167, 40263),
    ("runs", 40): (23616, 31872, 25153, 25697),
    ("runs", 75): (9678, 13572, 13470, 10227),
    ("runs", 90): (5124, 7704, 9627, 5193),
    ("smooth", 0): (36864, 49152, 19661, 23757),
    ("smooth", 40): (23616, 31872, 14805, 15349),
    ("smooth", 75): (9678, 13572, 9717, 6474),
    ("smooth", 90): (5124, 7704, 7990, 3556),
}
