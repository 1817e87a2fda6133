# SPDX-License-Identifier: MIT
"""Focal loss of libfocalghm for PyTorch tensors on the CPU.

One file, to be copied.  Needs the shared library: in the environment variable
FOCALGHM_LIBRARY, or where the system looks for libraries.

    loss = focal_loss(logits, targets)                        # as torchvision, but the mean
    loss = focal_loss(logits, labels, activation="softmax")   # as torch's cross_entropy

Tensors are read where they lie: any strides, any floating dtype.  The gradient is
computed along with the loss, so backward only scales it.
"""

import ctypes
import ctypes.util
import os

import torch

_DTYPES = {
    torch.float32: 1,
    torch.float64: 2,
    torch.float16: 3,
    torch.bfloat16: 4,
    torch.uint8: 5,
    torch.int32: 6,
    torch.int64: 7,
}
_ACTIVATIONS = {"sigmoid": 0, "softmax": 1}
_BACKGROUNDS = {"none": 0, "last": 1, "first": 2, "minus_one": 3}
_REDUCTIONS = ("none", "sum", "mean", "mean_positives", "mean_valid")
_SUM = 0
_STRIDED = 1


class _Array(ctypes.Structure):  # fghm_input and fghm_output
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("layout", ctypes.c_int32),
        ("strides", ctypes.c_int64 * 8),
    ]


class _Batch(ctypes.Structure):  # fghm_batch
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("tag", ctypes.c_uint32),
        ("ndim", ctypes.c_int32),
        ("class_axis", ctypes.c_int32),
        ("shape", ctypes.c_int64 * 8),
        ("activation", ctypes.c_int32),
        ("target_form", ctypes.c_int32),
        ("background", ctypes.c_int32),
        ("flags", ctypes.c_int32),
        ("ignore_index", ctypes.c_int64),
        ("label_smoothing", ctypes.c_double),
        ("class_alpha", ctypes.c_void_p),
        ("class_gamma", ctypes.c_void_p),
        ("class_weights", ctypes.c_void_p),
        ("class_offsets", ctypes.c_void_p),
        ("logits", _Array),
        ("targets", _Array),
        ("scores", _Array),
        ("weights", _Array),
        ("element_loss", _Array),
        ("gradient", _Array),
        ("hessian", _Array),
        ("harmonizing_weight", _Array),
    ]

    def __init__(self):
        _require(_library.fghm_batch_init(ctypes.byref(self), ctypes.sizeof(self)))


class _Result(ctypes.Structure):  # fghm_result
    _fields_ = [
        ("size", ctypes.c_uint32),
        ("filled", ctypes.c_uint32),
        ("status", ctypes.c_int32),
        ("field", ctypes.c_int32),
        ("other_field", ctypes.c_int32),
        ("place", ctypes.c_int32),
        ("offender", ctypes.c_int64),
        ("loss", ctypes.c_double),
        ("sum", ctypes.c_double),
        ("divisor", ctypes.c_double),
        ("sum_weights", ctypes.c_double),
        ("sum_targets", ctypes.c_double),
        ("elements", ctypes.c_uint64),
        ("valid", ctypes.c_uint64),
        ("positives", ctypes.c_uint64),
    ]

    def __init__(self):
        _require(_library.fghm_result_init(ctypes.byref(self), ctypes.sizeof(self)))


def _load():
    name = os.environ.get("FOCALGHM_LIBRARY") or ctypes.util.find_library("focalghm")
    if not name:
        raise ImportError("libfocalghm is not installed; FOCALGHM_LIBRARY may name it")
    library = ctypes.CDLL(name)
    library.fghm_status_string.restype = ctypes.c_char_p
    library.fghm_focal_destroy.restype = None
    library.fghm_focal_create.argtypes = [ctypes.POINTER(ctypes.c_void_p)]
    library.fghm_focal_destroy.argtypes = [ctypes.c_void_p]
    library.fghm_focal_set_gamma.argtypes = [ctypes.c_void_p, ctypes.c_double]
    library.fghm_focal_set_alpha.argtypes = [ctypes.c_void_p, ctypes.c_double]
    library.fghm_focal_clear_alpha.argtypes = [ctypes.c_void_p]
    library.fghm_focal_set_reduction.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.fghm_batch_init.argtypes = [ctypes.POINTER(_Batch), ctypes.c_size_t]
    library.fghm_result_init.argtypes = [ctypes.POINTER(_Result), ctypes.c_size_t]
    library.fghm_focal_batch.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.POINTER(_Batch),
        ctypes.POINTER(_Result),
    ]
    return library


_library = _load()


def _require(status):
    if status != 0:
        raise ValueError("libfocalghm: " + _library.fghm_status_string(status).decode())


class _Handle:
    """An fghm_focal that sums.  What the sum is divided by goes into backward's factor."""

    def __init__(self, gamma, alpha):
        self._as_parameter_ = ctypes.c_void_p()
        _require(_library.fghm_focal_create(ctypes.byref(self._as_parameter_)))
        _require(_library.fghm_focal_set_gamma(self, gamma))
        if alpha is None:
            _require(_library.fghm_focal_clear_alpha(self))
        else:
            _require(_library.fghm_focal_set_alpha(self, alpha))
        _require(_library.fghm_focal_set_reduction(self, _SUM))

    def __del__(self):
        _library.fghm_focal_destroy(self)


def _run(handle, fields, tensors, dim):
    """One loss over {field: tensor}.  dim None: all tensors have the axes of the logits;
    else tensors with an axis less lack dim, that of the classes.  Returns the sum of the
    loss, and how many elements there are, are valid and are positive."""
    logits = tensors["logits"]
    shape = list(logits.shape) or [1]
    if len(shape) > len(_Batch().shape):
        raise ValueError("focal_loss: tensors of at most 8 axes")
    batch, result = _Batch(), _Result()
    batch.ndim = len(shape)
    batch.shape[: len(shape)] = shape
    if dim is not None:
        batch.class_axis = dim
    for name, value in fields.items():
        setattr(batch, name, value)
    for name, tensor in tensors.items():
        strides = list(tensor.stride())
        if dim is not None and tensor.dim() < logits.dim():
            strides.insert(dim, 0)
        array = _Array(tensor.data_ptr(), _DTYPES[tensor.dtype], _STRIDED)
        array.strides[: len(strides)] = strides
        setattr(batch, name, array)
    _require(_library.fghm_focal_batch(handle, None, ctypes.byref(batch), ctypes.byref(result)))
    return result.sum, result.elements, result.valid, result.positives


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(context, logits, targets, weights, dim, gamma, alpha, fields, reduction):
        # Half-precision gradients wait for their factor in float: that of a mean is tiny.
        half = logits.dtype in (torch.float16, torch.bfloat16)
        gradient = torch.empty_like(logits, dtype=torch.float32 if half else logits.dtype)
        tensors = {"logits": logits, "targets": targets, "gradient": gradient}
        if weights is not None:
            tensors["weights"] = weights
        if reduction == "none":
            per_sample = fields["activation"] == _ACTIVATIONS["softmax"]
            loss = tensors["element_loss"] = logits.new_empty(
                targets.shape if per_sample else logits.shape
            )
        total, elements, valid, positives = _run(_Handle(gamma, alpha), fields, tensors, dim)
        divisors = {
            "none": 1,
            "sum": 1,
            "mean": elements,
            "mean_valid": max(valid, 1),
            "mean_positives": max(positives, 1),
        }
        divisor = divisors[reduction] if reduction in divisors else float(reduction)
        if reduction != "none":
            loss = logits.new_tensor(total / divisor if divisor else float("nan"))
        context.save_for_backward(gradient)
        context.divisor = divisor
        context.dim = dim if 0 < loss.dim() < logits.dim() else None
        context.dtype = logits.dtype
        return loss

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, factor):
        (gradient,) = context.saved_tensors
        if context.dim is not None:
            factor = factor.unsqueeze(context.dim)
        factor = factor.to(gradient.dtype) / context.divisor
        return ((gradient * factor).to(context.dtype), *[None] * 7)


def focal_loss(
    logits,
    targets,
    *,
    gamma=2.0,
    alpha=0.25,
    weights=None,
    activation="sigmoid",
    dim=1,
    background="none",
    ignore_index=None,
    reduction="mean",
):
    """Focal loss of logits, differentiable with respect to them, once.

    targets    as many axes as logits: a target in [0, 1] for each element; one axis less
               (without `dim`, that of the classes): a label for each sample
    alpha      weight of positives, 1 - alpha that of negatives; None: both 1.  Softmax has no
               negatives: the default is no factor there, and another number an error
    weights    factors, any numbers, of the shape of the loss with reduction "none", or broadcast to it
    activation "sigmoid", or "softmax" with labels; the loss then is one for each sample
    background which label is none of the classes: "none", "last", "first", "minus_one"
    reduction  "none", "sum", "mean", "mean_positives", "mean_valid", or the number to divide by
    """
    for tensor in (logits, targets) if weights is None else (logits, targets, weights):
        if tensor.device.type != "cpu":
            raise ValueError("focal_loss: tensors on the CPU only")
    if reduction not in _REDUCTIONS and not isinstance(reduction, (int, float)):
        raise ValueError("focal_loss: reduction is none of " + ", ".join(_REDUCTIONS))
    dim = dim % logits.dim() if logits.dim() else 0
    if targets.dtype == torch.bool:
        targets = targets.view(torch.uint8)
    labels = targets.dim() == logits.dim() - 1
    if not labels:
        targets = targets.expand(logits.shape)
    elif targets.shape != logits.shape[:dim] + logits.shape[dim + 1 :]:
        raise ValueError("focal_loss: labels need the shape of the logits without dim")
    if weights is not None:
        per_sample = activation == "softmax"
        weights = weights.detach().expand(targets.shape if per_sample else logits.shape)
    fields = {
        "activation": _ACTIVATIONS[activation],
        "target_form": int(labels),
        "background": _BACKGROUNDS[background],
    }
    if ignore_index is not None:
        fields["ignore_index"] = ignore_index
    return _FocalLoss.apply(
        logits, targets.detach(), weights, dim if labels else None, gamma, alpha, fields, reduction
    )
