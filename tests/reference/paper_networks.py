"""Liang et al. 2018, computed from the authors' published network configurations and logs.

OFM_MBIT: sum over the convolutions of 16 bit × OFM elements, in 10^6 bit (their bandwidth logs). IFM_SHARE: IFM
elements over IFM plus kernel elements of the convolutions, in percent.
"""

OFM_MBIT = {
    "alexnet": 10.40,
    "mobilenet": 142.8,
    "resnet50": 201.8,
    "squeezenet": 46.7,
    "tiny": 48.1,
    "vgg16": 216.8,
}
IFM_SHARE = {
    "alexnet": 9.6,
    "mobilenet": 72.2,
    "resnet50": 34.5,
    "squeezenet": 61.6,
    "tiny": 60.8,
    "vgg16": 38.2,
}
