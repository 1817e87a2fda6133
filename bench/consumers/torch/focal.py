# SPDX-License-Identifier: MIT
"""Focal loss of libfocalghm for PyTorch tensors in main memory, without copying them."""

import ctypes
import itertools
import os

import torch

_library = ctypes.CDLL(os.environ.get("FOCALGHM_LIBRARY", "libfocalghm.so.0"))

# What follows mirrors focalghm/batch.h, reduction.h and focal.h.
_dtypes = {
    torch.float32: 0,
    torch.float64: 1,
    torch.float16: 2,
    torch.bfloat16: 3,
    torch.uint8: 4,
    torch.int32: 5,
    torch.int64: 6,
}
_DENSE, _LABEL = 0, 1
_SIGMOID, _SOFTMAX = 0, 1
_SUM, _NORMALIZER = 0, 2
_backgrounds = {None: 0, "last": 1, "first": 2, -1: 3}


class _Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("strides", ctypes.c_int64 * 3),
    ]


class _Batch(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("outer", ctypes.c_size_t),
        ("classes", ctypes.c_size_t),
        ("inner", ctypes.c_size_t),
        ("activation", ctypes.c_int32),
        ("target_form", ctypes.c_int32),
        ("background", ctypes.c_int32),
        ("ignoring", ctypes.c_int32),
        ("ignore_index", ctypes.c_int64),
        ("label_smoothing", ctypes.c_double),
        ("logits", _Array),
        ("targets", _Array),
        ("weights", _Array),
        ("class_alpha", ctypes.c_void_p),
        ("class_weights", ctypes.c_void_p),
        ("element_loss", _Array),
        ("gradient", _Array),
        ("hessian", _Array),
        ("harmonizing_weight", _Array),
    ]


class _Result(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("loss", ctypes.c_double),
        ("sum", ctypes.c_double),
        ("divisor", ctypes.c_double),
        ("elements", ctypes.c_uint64),
        ("valid", ctypes.c_uint64),
        ("positives", ctypes.c_uint64),
        ("offender", ctypes.c_int64),
    ]


_library.fghm_status_string.restype = ctypes.c_char_p
_library.fghm_focal_destroy.restype = None
for _name, _arguments in {
    "fghm_status_string": [ctypes.c_int32],
    "fghm_focal_create": [ctypes.POINTER(ctypes.c_void_p)],
    "fghm_focal_destroy": [ctypes.c_void_p],
    "fghm_focal_set_gamma": [ctypes.c_void_p, ctypes.c_double],
    "fghm_focal_set_alpha": [ctypes.c_void_p, ctypes.c_double],
    "fghm_focal_clear_alpha": [ctypes.c_void_p],
    "fghm_focal_set_reduction": [ctypes.c_void_p, ctypes.c_int32],
    "fghm_focal_set_normalizer": [ctypes.c_void_p, ctypes.c_double],
    "fghm_focal_batch": [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.POINTER(_Batch),
        ctypes.POINTER(_Result),
    ],
}.items():
    getattr(_library, _name).argtypes = _arguments


def _call(name, *arguments):
    status = getattr(_library, name)(*arguments)
    if status != 0:
        raise ValueError(f"{name}: {_library.fghm_status_string(status).decode()}")


class _Focal:
    """A configuration, freed when the `with` block ends."""

    def __init__(self, gamma, alpha, normalizer):
        self.handle = ctypes.c_void_p()
        _call("fghm_focal_create", ctypes.byref(self.handle))
        try:
            _call("fghm_focal_set_gamma", self.handle, gamma)
            if alpha is None:
                _call("fghm_focal_clear_alpha", self.handle)
            else:
                _call("fghm_focal_set_alpha", self.handle, alpha)
            if normalizer is None:
                _call("fghm_focal_set_reduction", self.handle, _SUM)
            else:
                _call("fghm_focal_set_normalizer", self.handle, normalizer)
                _call("fghm_focal_set_reduction", self.handle, _NORMALIZER)
        except ValueError:
            _library.fghm_focal_destroy(self.handle)
            raise

    def __enter__(self):
        return self.handle

    def __exit__(self, *error):
        _library.fghm_focal_destroy(self.handle)


def _merge(shape, strides):
    """The axes of `shape`, those merged that one stride can walk in every array.

    strides: for each array, a stride for each axis.  Returns [(size, one stride for
    each array)], the axis of the largest strides first.
    """
    axes = [(n, steps) for n, *steps in zip(shape, *strides) if n != 1]
    axes.sort(key=lambda axis: [abs(step) for step in axis[1]], reverse=True)
    merged = []
    for size, steps in axes:
        if merged and all(a == b * size for a, b in zip(merged[-1][1], steps)):
            size *= merged.pop()[0]
        merged.append((size, steps))
    return merged


def _run(handle, batch, arrays, shape, class_axis):
    """Describes the arrays to the library and calls it; returns the loss.

    arrays: {field: tensor, expanded to `shape`, or without an axis of classes}.  The
    library walks three axes, of which one is that of the classes, if there is one; more
    that cannot be merged are walked here.
    """
    samples = [n for axis, n in enumerate(shape) if axis != class_axis]
    strides = {}
    class_strides = {}
    for field, tensor in arrays.items():
        steps = list(tensor.stride())
        # The stride of an array without classes is not looked at.
        class_strides[field] = 1
        if class_axis is not None and len(steps) == len(shape):
            class_strides[field] = steps.pop(class_axis)
        strides[field] = steps
    axes = _merge(samples, strides.values())

    # The last `room` axes go to the library.  Three strides of 0 would mean contiguous
    # elements there, not one value for all: an array like that gets an axis of one
    # element, along which the stride may be anything.
    slots = room = 3 if class_axis is None else 2
    repeats = (
        all(axis[1][i] == 0 for axis in axes[-room:])
        and (class_axis is None or class_strides[field] == 0)
        for i, field in enumerate(arrays)
    )
    if len(axes) >= room and any(repeats):
        room -= 1
    split = max(len(axes) - room, 0)
    walked, inside = axes[:split], axes[split:]
    inside = [(1, [1] * len(arrays))] * (slots - len(inside)) + inside

    batch.size = ctypes.sizeof(_Batch)
    batch.outer, batch.inner = inside[0][0], inside[-1][0]
    batch.classes = inside[1][0] if class_axis is None else shape[class_axis]
    result = _Result(size=ctypes.sizeof(_Result))
    loss = 0.0
    for place in itertools.product(*(range(n) for n, _ in walked)):
        for i, (field, tensor) in enumerate(arrays.items()):
            offset = sum(index * axis[1][i] for index, axis in zip(place, walked))
            array = getattr(batch, field)
            array.data = tensor.data_ptr() + offset * tensor.element_size()
            array.dtype = _dtypes[tensor.dtype]
            middle = inside[1][1][i] if class_axis is None else class_strides[field]
            array.strides = (inside[0][1][i], middle, inside[-1][1][i])
        _call("fghm_focal_batch", handle, None, ctypes.byref(batch), ctypes.byref(result))
        loss += result.loss
    return loss


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(context, logits, targets, weights, options):
        gamma, alpha, reduction, softmax, class_axis, background, ignore_index = options
        batch = _Batch(
            activation=_SOFTMAX if softmax else _SIGMOID,
            target_form=_DENSE if class_axis is None else _LABEL,
            background=_backgrounds[background],
            ignoring=int(ignore_index is not None),
            ignore_index=ignore_index or 0,
        )
        loss_shape = list(logits.shape)
        if softmax:
            loss_shape.pop(class_axis)
        count = logits.numel()
        if reduction == "mean" and ignore_index is not None:
            count = int((targets != ignore_index).sum())
            count *= 1 if softmax or class_axis is None else logits.shape[class_axis]
        elif softmax:
            count = targets.numel()

        gradient = torch.empty_like(logits)
        arrays = {"logits": logits, "targets": targets, "gradient": gradient}
        element_loss = None
        if reduction == "none":
            element_loss = arrays["element_loss"] = logits.new_empty(loss_shape)
        if weights is not None:
            arrays["weights"] = weights.expand(loss_shape)
        loss = 0.0
        if logits.numel() > 0:
            normalizer = max(count, 1) if reduction == "mean" else None
            with _Focal(gamma, alpha, normalizer) as handle:
                loss = _run(handle, batch, arrays, list(logits.shape), class_axis)
        context.save_for_backward(gradient)
        context.class_axis = class_axis if softmax and reduction == "none" else None
        return logits.new_tensor(loss) if element_loss is None else element_loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, upstream):
        (gradient,) = context.saved_tensors
        if context.class_axis is not None:
            upstream = upstream.unsqueeze(context.class_axis)
        return gradient * upstream, None, None, None


def focal_loss(
    logits,
    targets,
    *,
    gamma=2.0,
    alpha=0.25,
    reduction="mean",
    softmax=False,
    class_axis=1,
    background=None,
    ignore_index=None,
    weights=None,
):
    """Focal loss of a CPU tensor of logits; differentiable, once, in the logits.

    targets      of the logits' shape: numbers from 0 to 1; without the axis of classes:
                 labels (uint8, int32 or int64)
    alpha        None: off
    reduction    "none", "sum" or "mean"; the mean is over elements, or samples with
                 softmax, that are not ignored
    softmax      each sample has one class, and targets are labels; else each class is a
                 sigmoid of its own
    class_axis   the axis of logits that labels lack
    background   the label of no class: "last" (the number of classes), "first" (0, so that
                 classes count from 1) or -1
    weights      factors of the elements, or samples with softmax; any shape that expands
    Any strides; float32, float64, float16 or bfloat16.
    """
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"not a reduction: {reduction}")
    for tensor in (logits, targets) if weights is None else (logits, targets, weights):
        if tensor.device.type != "cpu":
            raise ValueError("only tensors in main memory")
    if targets.dtype == torch.bool:
        targets = targets.view(torch.uint8)
    axis = None
    shape = list(logits.shape)
    if targets.dim() != logits.dim() or softmax:
        axis = range(logits.dim())[class_axis]
        shape.pop(axis)
    if list(targets.shape) != shape:
        raise ValueError(f"targets have the shape {list(targets.shape)}, not {shape}")
    options = (gamma, alpha, reduction, softmax, axis, background, ignore_index)
    return _FocalLoss.apply(logits, targets, weights, options)
