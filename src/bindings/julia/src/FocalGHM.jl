# SPDX-License-Identifier: MIT

"""
Focal loss and the gradient harmonizing mechanism (GHM), with gradient and Hessian, for training on
imbalanced data, computed by the C library libfocalghm.  Its headers say what each setting, form and
layout means, and how right results are.

```julia
using FocalGHM
focal = Focal(gamma = 1.5, alpha = nothing)
gradient = similar(logits)
result = loss!(focal, logits, targets; gradient = gradient)
result.loss
```

[`Focal`](@ref) and [`GHM`](@ref) hold settings; [`loss!`](@ref) and [`step!`](@ref) compute.  Arrays
are any strided ones, views and reversed ones too.  Nothing is copied: what cannot be passed as it
is, is an error.

The library is looked for where the environment variable `FOCALGHM_LIBRARY` says, else where the
system's loader does.

Any number of tasks may use one handle in functions that do not change it (`loss!`, `count!`,
`apply!`, reading of settings).  While a call runs on one thread, no garbage can be collected on
any.  For threads within a call see [`Pool`](@ref).
"""
module FocalGHM

using Libdl, LinearAlgebra

export Focal, GHM, Pool, Result, FocalGHMError, ZeroBased, OneBased
export loss!, best_constant, calibrate!, best_constant_softmax, calibrate_softmax!
export step!, update!, apply!, density!, reset!, save, load!
export counts, averages, bin_weights, nonempty, steps

include("library.jl")
include("errors.jl")
include("handles.jl")
include("pool.jl")
include("batch.jl")
include("focal.jl")
include("ghm.jl")

end
