"""Ray casting: shaded pictures of balls and sticks without OpenGL.

Matplotlib's 3-D axes sort whole patches by depth, which is wrong wherever a stick enters a ball.
"""

from __future__ import annotations

import numpy as np

from graphscore.molecules.show.structures import Shape, color_of

_LIGHT = np.array([-0.4, 0.55, 0.73], dtype=np.float32)
_HALFWAY = np.array([-0.215, 0.296, 0.931], dtype=np.float32)  # between the light and the viewer
_OVERSAMPLING = 3  # rays per pixel, along each axis


def raycast(shape: Shape, half_width: float, half_height: float, width: int) -> np.ndarray:
    """Draw a shape by parallel rays along -z.

    Args:
        shape: Shape to draw; it is cut off at the edges of the picture.
        half_width: Visible width on each side of the origin, in Angstrom.
        half_height: Visible height above and below the origin, in Angstrom.
        width: Width of the picture in pixels.

    Returns:
        ``[height, width, 4]`` red, green, blue and opacity, from 0 to 1; the background is transparent.
    """
    image = _Image(half_width, half_height, width)
    for center, radius, number in zip(shape.centers, shape.radii, shape.elements, strict=True):
        image.ball(center, radius, _rgb(number))
    for ends, radius, number in zip(shape.sticks, shape.stick_radii, shape.stick_elements, strict=True):
        image.stick(ends, radius, _rgb(number))
    return image.shaded(shape.extent)


class _Image:
    """Depth, normal and color of the first surface that each ray meets."""

    def __init__(self, half_width: float, half_height: float, width: int) -> None:
        columns = width * _OVERSAMPLING
        rows = max(1, round(width * half_height / half_width)) * _OVERSAMPLING
        step = 2 * half_width / columns
        self._x = (np.arange(columns) + 0.5) * step - half_width
        self._y = (0.5 * rows - np.arange(rows) - 0.5) * step
        self._depth = np.full((rows, columns), -np.inf, dtype=np.float32)
        self._normal = np.zeros((rows, columns, 3), dtype=np.float32)
        self._color = np.zeros((rows, columns, 3), dtype=np.float32)

    def ball(self, center: np.ndarray, radius: float, color: np.ndarray) -> None:
        window, x, y = self._window(center[None], radius)
        dx, dy = x - center[0], y - center[1]
        height2 = radius**2 - dx**2 - dy**2
        height = np.sqrt(np.maximum(height2, 0))
        normal = np.stack([dx + 0 * height, dy + 0 * height, height], axis=-1) / radius
        self._paint(window, center[2] + height, normal, height2 > 0, color)

    def stick(self, ends: np.ndarray, radius: float, color: np.ndarray) -> None:
        for end in ends:
            self.ball(end, radius, color)  # the caps
        length = np.linalg.norm(ends[1] - ends[0])
        axis = (ends[1] - ends[0]) / max(length, 1e-9)
        if length < 1e-9 or abs(axis[2]) > 0.999:
            return  # seen from its end, only the cap shows
        window, x, y = self._window(ends, radius)
        # The point w + s z of a ray is on the cylinder where the parts across the axis, of w and z, have length r:
        # |w' + s z'|^2 = r^2, with w'.z' = -(w.u)(z.u).
        w = np.stack(np.broadcast_arrays(x - ends[0, 0], y - ends[0, 1], 0.0), axis=-1)
        along = w @ axis
        a, b = 1 - axis[2] ** 2, -along * axis[2]
        discriminant = b**2 - a * ((w**2).sum(axis=-1) - along**2 - radius**2)
        s = (np.sqrt(np.maximum(discriminant, 0)) - b) / a
        position = along + s * axis[2]
        w[..., 2] = s
        normal = (w - position[..., None] * axis) / radius
        hit = (discriminant > 0) & (position > 0) & (position < length)
        self._paint(window, ends[0, 2] + s, normal, hit, color)

    def shaded(self, extent: float) -> np.ndarray:
        hit = np.isfinite(self._depth)
        normal = self._normal[hit]
        diffuse = np.maximum(normal @ _LIGHT, 0)
        gloss = np.maximum(normal @ _HALFWAY, 0) ** 50
        rim = 1 - 0.5 * (1 - np.clip(normal[:, 2], 0, 1)) ** 3  # darker towards the outline
        color = self._color[hit] * ((0.5 + 0.6 * diffuse) * rim)[:, None] + 0.4 * gloss[:, None]
        haze = 0.35 * np.clip(0.5 - self._depth[hit] / (2 * extent), 0, 1)[:, None]  # distant parts are paler
        out = np.zeros((*hit.shape, 4), dtype=np.float32)
        out[hit] = np.concatenate([np.clip(color, 0, 1) * (1 - haze) + haze, np.ones_like(haze)], axis=1)
        rows, columns = hit.shape[0] // _OVERSAMPLING, hit.shape[1] // _OVERSAMPLING
        out = out.reshape(rows, _OVERSAMPLING, columns, _OVERSAMPLING, 4).mean(axis=(1, 3))
        out[..., :3] /= np.maximum(out[..., 3:], 1e-9)  # colors were averaged with the black of empty rays
        return out

    def _window(self, points: np.ndarray, radius: float) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """The pixels near some points: their slices, their x ``[1, columns]`` and their y ``[rows, 1]``."""
        low, high = points.min(axis=0) - radius, points.max(axis=0) + radius
        columns = slice(*np.searchsorted(self._x, [low[0], high[0]]))
        rows = slice(*np.searchsorted(-self._y, [-high[1], -low[1]]))
        return (rows, columns), self._x[None, columns], self._y[rows, None]

    def _paint(
        self,
        window: tuple[slice, slice],
        depth: np.ndarray,
        normal: np.ndarray,
        hit: np.ndarray,
        color: np.ndarray,
    ) -> None:
        nearer = hit & (depth > self._depth[window])
        self._depth[window][nearer] = depth[nearer]
        self._normal[window][nearer] = normal[nearer]
        self._color[window][nearer] = color


def _rgb(number: int) -> np.ndarray:
    return np.array([int(color_of(number)[k : k + 2], 16) / 255 for k in (1, 3, 5)])
