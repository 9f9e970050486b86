"""A small convolutional classifier of a data set's own labels: what it sees in images is what they are compared by."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

FEATURES = 128


class ClassifierNetwork(nn.Module):
    """`forward(x: (B,C,H,W)) -> (features (B,128), logits (B,K))`; the features are what the last layer reads.

    Images are halved until they measure at most 8 pixels a side: 32 channels, then 64, then 128. One more convolution,
    a pooling, and a dense layer follow, all with batch normalisation.
    """

    def __init__(self, shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        widths = [32]
        while max(height, width) > 16:
            widths.append(min(128, 2 * widths[-1]))
            height, width = -(-height // 2), -(-width // 2)
        inside = widths[-1] * -(-height // 4) * -(-width // 4)
        self.features = nn.Sequential(
            *(layer for ends in pairwise([channels, *widths]) for layer in convolution(*ends, stride=2)),
            *convolution(widths[-1], widths[-1], stride=1),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Flatten(),
            nn.Linear(inside, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features: Tensor = self.features(x)
        return features, self.head(features)


def convolution(inner: int, outer: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()]
