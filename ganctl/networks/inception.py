"""The Inception network that FID is defined by, from torch-fidelity. Its weights are looked for, never fetched."""

import hashlib
import io
import pickle
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ganctl.errors import UserError

FILE = "weights-inception-2015-12-05-6726825d.pth"
"""TensorFlow's network of 2015-12-05, converted by torch-fidelity; the name ends in the start of the file's SHA-256."""
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


class Inception(nn.Module):
    """`forward(x: (B,C,H,W) in [-1,1]) -> (features (B,2048), logits (B,1008))`, C 1 or 3.

    Images are rounded to 8 bits, grey ones shown as RGB, and resized to 299x299 by the network's own bilinear
    interpolation, as in Heusel et al. 2017. The logits lack their bias, as in the code of Salimans et al. 2016.
    """

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        self.network = build(read(find(weights)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.shape[1] not in (1, 3):
            raise UserError(
                f"source=inception reads grey or RGB images, these have {x.shape[1]} channels\n  try: source=pixels"
            )
        levels = ((x.clamp(-1, 1) + 1) * 127.5).round().byte()
        features, logits = self.network(levels.expand(-1, 3, -1, -1))
        return features, logits


def find(weights: str | None) -> Path:
    """The file of weights: where the person says, else where torch keeps downloads."""
    path = Path(weights).expanduser() if weights else Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        raise UserError(
            f"source=inception needs the file {FILE} (95.7 MB), and {path} is not there\n"
            f"  try: put it there, from {URL}, or name it with inception=PATH"
        )
    return path


def read(path: Path) -> dict[str, Tensor]:
    """The state dictionary, after its hash was checked; tensors and plain containers only."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    expected = Path(FILE).stem.rsplit("-", 1)[1]
    if not found.startswith(expected):
        raise UserError(
            f"{path} is not the published file: its SHA-256 starts with {found[:8]}, not {expected}\n"
            f"  try: fetch it again from {URL}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words on foreign pickles; ours follow
            state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} holds no weights\n  try: fetch it again from {URL}") from error
    return state


def build(state: dict[str, Tensor]) -> nn.Module:
    """torch-fidelity's network with these weights."""
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise UserError(
            "source=inception needs the package torch-fidelity\n  try: pip install 'ganctl[inception]'"
        ) from error
    # It takes a file, and opens it without care: it gets a copy of what was read with care.
    copy = io.BytesIO()
    torch.save(state, copy)
    copy.seek(0)
    network: nn.Module = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], copy)
    return network
