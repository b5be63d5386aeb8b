"""A utility: immersion that saturates. Twice the required rate is nearly as good as any."""

import numpy as np


class Saturating:
    def __init__(self, most=2.0):
        self.most = most

    def worth(self, rate, alpha, required_rate):
        return self.most * alpha * (1.0 - np.exp(-rate / required_rate))
