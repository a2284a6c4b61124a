"""The outline of a waveform, in one pass and in bounded memory."""

MOST = 1000
_SLOTS = 4 * MOST
# The first slots are this short, in samples, so that a short file still has a fine outline.
_SPAN = 8

_SIGNS = bytes(0x00 if high < 0x80 else 0xFF for high in range(256))


def magnitudes(samples: bytes) -> bytes:
    """How far each 16-bit little-endian sample is from zero, one byte each; 255 is full scale.

    Whole strings at a time: a loop over samples, or `max` over an array, is many times slower.
    """
    # One bit to the left, the upper byte of a sample holds its value without the sign; for a
    # negative sample all of its bits are the other way round.
    shifted = (int.from_bytes(samples, "little") << 1).to_bytes(len(samples) + 1, "little")
    signs = samples[1::2].translate(_SIGNS)
    folded = int.from_bytes(shifted[1:-1:2], "little") ^ int.from_bytes(signs, "little")
    return folded.to_bytes(len(signs), "little")


class Peaks:
    """Takes sound as it comes, however long it will be.

    Equal slots hold the loudest sample so far. When they are used up, neighbours merge, and each
    slot lasts twice as long from there on.
    """

    def __init__(self) -> None:
        self._slots: list[int] = []
        self._span = _SPAN
        self._open = 0
        self._filled = 0

    def add(self, samples: bytes, channels: int) -> None:
        """More sound: 16-bit little-endian samples, the channels beside each other."""
        levels = magnitudes(samples)
        position = 0
        while position < len(levels):
            end = position + (self._span - self._filled) * channels
            piece = levels[position:end]
            self._open = max(self._open, max(piece))
            self._filled += -(-len(piece) // channels)
            position = end
            if self._filled >= self._span:
                self._close()

    def _close(self) -> None:
        self._slots.append(self._open)
        self._open = self._filled = 0
        if len(self._slots) == _SLOTS:
            pairs = zip(self._slots[::2], self._slots[1::2], strict=True)
            self._slots = [max(pair) for pair in pairs]
            self._span *= 2

    def levels(self) -> list[int]:
        """The loudest sample of each of up to `MOST` equal stretches."""
        slots = [*self._slots, self._open] if self._filled else self._slots
        count = min(MOST, len(slots))
        edges = [number * len(slots) // count for number in range(count + 1)] if count else []
        return [max(slots[edges[i] : edges[i + 1]]) for i in range(count)]
