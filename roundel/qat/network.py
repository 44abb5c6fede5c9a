"""A network to train, whose results are those of the integer network that it stands for. Needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from roundel.compression import CompressedNetwork
from roundel.golden.errors import MismatchError
from roundel.golden.network import Network, save, steps
from roundel.qat.layers import LayerModule, Value
from roundel.quantization import ImageStatistics, StreamOptions, network_streams

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """What a network was made of.

    Parameters
    ----------
    model
        Name of the file.
    shape
        Shape of an image, (channels, rows, columns) or (features,).
    calibration
        Figures of the calibration images.
    """

    model: str
    shape: tuple[int, ...]
    calibration: ImageStatistics


class IntegerModule(nn.Module):
    """A network of integers with everything in it that training may change.

    Its forward pass is golden's arithmetic: what it gives are the integers of `network()` times their steps, exactly.

    Parameters
    ----------
    network
        The integer network to start from.
    layers
        A module for each of its layers, by name, in the same order.
    results
        The layer behind each output, by the output's name, in the order of the outputs.
    origin
        What the network was made of.
    """

    def __init__(
        self,
        network: Network,
        layers: Mapping[str, LayerModule],
        results: Mapping[str, str],
        origin: Origin,
    ) -> None:
        super().__init__()
        self.start = network
        self.parts = nn.ModuleList(layers.values())
        self.results = dict(results)
        self.origin = origin

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the outputs for images as the float network takes them, (batch, channels, rows, columns).

        Returns
        -------
        Tensor or tuple of Tensor
            The one output, or all in the order of the network's: real numbers, maps with the channel second.
        """
        values = self.values(images)
        found = tuple(values[layer].real for layer in self.results.values())
        return found[0] if len(found) == 1 else found

    def values(self, images: Tensor) -> dict[str, Value]:
        """Return what every layer gives, by name; the network's input too."""
        form = self.start.input
        integers = self.start.encoding.compute(images.detach().numpy(), form)
        values = {self.start.source: Value(real=torch.tensor(form.decode(integers), dtype=torch.float32), form=form)}
        with torch.backends.nnpack.flags(enabled=False):  # its convolutions are transformed, and not exact
            for part in self.parts:
                values[part.layer.name] = part(*(values[name] for name in part.layer.sources))
        return values

    def network(self) -> Network:
        """Return the integer network of the present parameters."""
        formats, made = {self.start.source: self.start.input}, []
        for part in self.parts:
            layer = part.made([formats[name] for name in part.layer.sources])
            formats[layer.name] = layer.output
            made.append(layer)
        start = self.start
        return Network(
            source=start.source, input=start.input, layers=tuple(made), results=start.results, encoding=start.encoding
        )

    def export(self, path: Path | str) -> Network:
        """Write the integer network of the present parameters to a network file, and return it.

        Raises
        ------
        InputError
            The file cannot be written.
        """
        network, origin = self.network(), self.origin
        meta = {"model": origin.model, "input_shape": list(origin.shape), "results": self.results}
        save(network, Path(path), meta)
        return network

    def compressed(self, streams: StreamOptions | None = None) -> CompressedNetwork:
        """Return what `roundel.compress` gives of the present parameters: `roundel.compile` and `run` take it.

        Parameters
        ----------
        streams
            Format of the weight streams; None: the usual one.
        """
        network, options, origin = self.network(), streams or StreamOptions(), self.origin
        packed = {stream.layer: stream.data for stream in network_streams(network, options, lambda _: None)}
        return CompressedNetwork(
            file=origin.model, model=origin.model, network=network, shape=origin.shape, results=self.results,
            options=options, streams=packed, report={}, onnx=None, calibration=origin.calibration,
        )  # fmt: skip

    def check(self, images: Array) -> int:
        """Compare every integer of every layer with golden's, and return how many there were.

        Parameters
        ----------
        images
            As the float network takes them, (batch, channels, rows, columns).

        Raises
        ------
        MismatchError
            One differs; the message names layer and place.
        """
        network, count = self.network(), 0
        with torch.no_grad():
            values = self.values(torch.as_tensor(np.asarray(images)))
        for step in steps(network, network.encode(images)):
            value = values[step.layer.name]
            real = value.real.double().numpy()
            real = real.transpose(0, 2, 3, 1) if real.ndim == 4 else real
            integers = real * 2.0**value.form.fraction + value.form.zero
            if value.form != step.layer.output or integers.shape != step.outputs.shape:
                raise MismatchError(f"{step.layer.name}: torch gives {value.form}, golden {step.layer.output}")
            wrong = np.argwhere(integers != step.outputs)
            if len(wrong):
                place = tuple(wrong[0].tolist())
                raise MismatchError(
                    f"{step.layer.name}{list(place)}: torch gives {integers[place]}, golden {step.outputs[place]}"
                )
            count += integers.size
        return count
