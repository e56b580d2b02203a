"""Layers in the forms that SCALE-Sim's topology files come in, and the compute cycles that SCALE-Sim 3.0.0 counts.

MEASURED: "Total Cycles" of its COMPUTE_REPORT on a 32×32 array in CALC mode, per layer.
"""

LENET = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Convolution Layer 1, 30,           30,          5,             5,            1,        6,          1,
Convolution Layer 2, 10,           10,          5,             5,            6,        16,         1,
Dw_DP, 9, 9, 3, 3, 4, 1, 2,
"""
PRODUCTS = """Layer Name, M, N, K,
GEMM_1, 3, 5, 16,
GEMM_2, 70, 33, 40,
"""
MEASURED = {
    "ws": ([769, 649, 109, 109, 109, 109], [96, 655]),
    "os": ([1913, 423, 70, 70, 70, 70], [77, 611]),
    "is": ([2199, 1099, 94, 94, 94, 94], [98, 761]),
}

# Blank lines, lines without a comma at the end, remarks, tabs in front of names.
MOBILENET = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,

Conv1, 224, 224, 3, 3, 3, 32, 2,
Conv2_dw, 112, 112, 3, 3, 1, 1, 1,#dw
Conv3, 112, 112, 1, 1, 32, 64, 1,
Conv11,28,28,1,1,256,256,1
\tConv14_dw_0,14,14,3,3,1,1,1,
\tConv15_0,14,14,1,1,512,512,1,
Conv18_dw,7,7,3,3,1,1,2,#dw
FC, 1, 1, 1, 1, 1024, 1000, 1,
"""
YOLO_TINY = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1,  416, 416,    3, 3,      3,      4,     1,
Conv4,  52,  52,     3, 3,      64,     128,    1,
Conv7,  11,  11,     3, 3,      512,    1024,   1, \n\
Conv9,  7,   7,      1, 1,      1024,   125,    1,
"""
# Further columns with titles, a line of commas alone.
RESNET50 = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter,Strides,,,Eh
,,,,,,,,,,
Conv1,224,224,7,7,3,64,2,,,110
CB2a_2,56,56,3,3,64,64,1,,,
CB3s,56,56,1,1,256,512,2,,,
IB5b_2,7,7,3,3,512,512,1,,,
FC6,1,1,1,1,2048,1000,1,,,"""
# Matrix products as convolutions with kernels of one whole row; lower-case titles; a batch column, mostly empty.
RECURRENT = """Layer name,Ifmap height,ifmap width,filter height,filter width,channels,num filters,strides,batch size,
BatchRNN1,672,2560,1,2560,1,4,1, \n\
QKT,1024,64,1,64,1,1024,1,1,
Attn_QxK',1,64,1,1,1,1,1,
FC,1,2560,1,2560,1,29,1,"""
UNET_WITH_TABS = (
    "Layer name\t IFMAP Height\t IFMAP Width\t Filter Height\t Filter Width\t Channels\t Num Filter\t Strides\t \n"
    "Conv4_2\t66\t66\t3\t3\t512\t512\t1\t\n"
    "TR_Conv1\t28\t28\t2\t2\t1024\t512\t1\t\n"
    "Conv1_5\t388\t388\t1\t1\t64\t2\t1\t"
)
VIT = "Layer,M,N,K,\nL0,196,192,384,\nL1,196,1176,64,\nL2,196,64,1176,\nL3,196,1536,384,\n\n"
GNMT = "Layer,M,N,K\n1,2048,4096,32\n6,32,2048,1024\n14,1024,1024,1600"
SPARSE = """Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,
Conv1,      224,          224,         11,            11,           3,        96,         4,       2:4,
Conv3,      13,           13,          3,             3,            256,      384,        1,       1:4,
"""
SPARSE_PRODUCTS = "Layer Name, M, N, K, Sparsity,\nGEMM_1, 3, 5, 16, 3:4,\nGEMM_1, 1, 5, 16, 1:4,\nGEMM_2, 1, 5, 16, 1,"

# name: text, and the numbers of each layer: H, W, R, S, C, K, stride, or M, N, K.
SHIPPED: dict[str, tuple[str, list[tuple[int, ...]]]] = {
    "mobilenet": (
        MOBILENET,
        [
            (224, 224, 3, 3, 3, 32, 2),
            (112, 112, 3, 3, 1, 1, 1),
            (112, 112, 1, 1, 32, 64, 1),
            (28, 28, 1, 1, 256, 256, 1),
            (14, 14, 3, 3, 1, 1, 1),
            (14, 14, 1, 1, 512, 512, 1),
            (7, 7, 3, 3, 1, 1, 2),
            (1, 1, 1, 1, 1024, 1000, 1),
        ],
    ),
    "yolo_tiny": (
        YOLO_TINY,
        [
            (416, 416, 3, 3, 3, 4, 1),
            (52, 52, 3, 3, 64, 128, 1),
            (11, 11, 3, 3, 512, 1024, 1),
            (7, 7, 1, 1, 1024, 125, 1),
        ],
    ),
    "resnet50": (
        RESNET50,
        [
            (224, 224, 7, 7, 3, 64, 2),
            (56, 56, 3, 3, 64, 64, 1),
            (56, 56, 1, 1, 256, 512, 2),
            (7, 7, 3, 3, 512, 512, 1),
            (1, 1, 1, 1, 2048, 1000, 1),
        ],
    ),
    "recurrent": (
        RECURRENT,
        [
            (672, 2560, 1, 2560, 1, 4, 1),
            (1024, 64, 1, 64, 1, 1024, 1),
            (1, 64, 1, 1, 1, 1, 1),
            (1, 2560, 1, 2560, 1, 29, 1),
        ],
    ),
    "unet_with_tabs": (
        UNET_WITH_TABS,
        [(66, 66, 3, 3, 512, 512, 1), (28, 28, 2, 2, 1024, 512, 1), (388, 388, 1, 1, 64, 2, 1)],
    ),
    "vit": (VIT, [(196, 192, 384), (196, 1176, 64), (196, 64, 1176), (196, 1536, 384)]),
    "gnmt": (GNMT, [(2048, 4096, 32), (32, 2048, 1024), (1024, 1024, 1600)]),
    "sparse": (SPARSE, [(224, 224, 11, 11, 3, 96, 4), (13, 13, 3, 3, 256, 384, 1)]),
    "sparse_products": (SPARSE_PRODUCTS, [(3, 5, 16), (1, 5, 16), (1, 5, 16)]),
}


def product_of(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    """A layer as a matrix product: positions P, inner size K, outputs N."""
    if len(numbers) == 3:
        rows, outputs, inner = numbers
        return rows, inner, outputs
    height, width, rows, columns, channels, filters, stride = numbers
    positions = -(-(height - rows + stride) // stride) * -(-(width - columns + stride) // stride)
    return positions, rows * columns * channels, filters


def compute_cycles(dataflow: str, numbers: tuple[int, ...], array: int = 32) -> int:
    """SCALE-Sim's closed form on a square array: folds · cycles per fold − 1."""
    positions, inner, outputs = product_of(numbers)
    down, across, time = {
        "ws": (inner, outputs, positions),
        "os": (positions, outputs, inner),
        "is": (inner, positions, outputs),
    }[dataflow]
    filling = 2 * array if dataflow == "os" else 3 * array
    return -(-down // array) * -(-across // array) * (time + filling - 2) - 1
