"""Changes of colour, in closed form."""

import math

from torch import Tensor, cat


def recoloured(
    x: Tensor, brightness: Tensor, contrast: Tensor, invert: Tensor, hue: Tensor, saturation: Tensor
) -> Tensor:
    """x (B,C,H,W) after Karras et al. 2020, appendix B, in their order; each change (B,).

    Add `brightness`; multiply by `contrast`; where `invert`, mirror at the plane through 0 across the grey axis; turn
    about that axis by `hue` radians; multiply the distance from it by `saturation`. All keep the grey axis and the
    plane across it apart, so that a pixel's mean and its distance from the mean are changed one by one. A grey image is
    its mean: hue and saturation do nothing to it. Of two or four channels the last is taken for transparency and kept.
    """
    brightness, contrast, invert, hue, saturation = (
        change.view(-1, 1, 1, 1) for change in (brightness, contrast, invert, hue, saturation)
    )
    colours = 3 if x.shape[1] >= 3 else 1
    shown, rest = x[:, :colours], x[:, colours:]
    grey = shown.mean(1, keepdim=True)
    chroma = shown - grey
    quarter = (chroma.roll(1, 1) - chroma.roll(-1, 1)) / math.sqrt(3)  # chroma turned by 90 degrees: the cross product
    grey = (grey + brightness) * contrast.where(~invert, -contrast)
    chroma = (chroma * hue.cos() + quarter * hue.sin()) * (contrast * saturation)
    return cat([grey + chroma, rest], 1)
