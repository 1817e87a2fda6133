# SPDX-License-Identifier: MIT

const REDUCTIONS = (
    :sum, :mean, :normalizer, :mean_samples, :mean_positives, :mean_valid, :mean_weights,
    :mean_targets,
)
const RULES = (
    :linear,
    :split,
    :quality,
    :star,
    :varifocal,
    :varifocal_unweighted,
    :matchability,
    :heatmap,
)
const HESSIAN_MODES = (:exact, :floored, :absolute, :gauss_newton, :gradient)

"""
    Focal(; settings...)

A configuration of the focal loss.  Its settings are properties: `focal.gamma = 1.5`.

| setting | values | unless set |
|---|---|---|
| `gamma` | in [0, 64] | 2 |
| `negative_gamma` | the same for negatives alone; `nothing`: as `gamma` | `nothing` |
| `alpha` | the factor of positives, 0 or in [2^-40, 1]; `nothing`: off | 0.25 |
| `positive_weight` | a factor of positives in the place of `alpha`, 0 or in [2^-40, 2^40]; `nothing`: none | `nothing` |
| `reduction` | `$(join(REDUCTIONS, "`, `"))` | `mean` |
| `normalizer` | the divisor of the reduction `normalizer`, in [2^-40, 2^60] | 1 |
| `loss_weight` | a factor of all results, 0 or in [2^-40, 2^40] | 1 |
| `rule` | `$(join(RULES, "`, `"))` | `linear` |
| `hessian_mode` | `$(join(HESSIAN_MODES, "`, `"))` | `exact` |
| `hessian_floor` | the least Hessian of the mode `floored` | 1e-16 |
| `hessian_factor` | a factor of Hessians, in [2^-40, 2^40] | 1 |
| `beta` | the exponent of the penalty of the rule `heatmap`, in [0, 64] | 4 |
| `margin` | by how much the probability of negatives is less, 0 or in [2^-40, 1) | 0 |
| `detached` | whether the focal factor is a constant in derivatives | `false` |

`copy` makes another handle with the same settings, `close` frees one.
"""
mutable struct Focal <: Handle
    pointer::Ptr{Cvoid}
    Focal(pointer::Ptr{Cvoid}) = own(new(pointer))
end

Focal(; settings...) = set_all(
    Focal(make(p -> ccall(fghm_focal_create[], Int32, (Ref{Ptr{Cvoid}},), p))),
    settings,
)

destroy(::Type{Focal}, pointer) = ccall(fghm_focal_destroy[], Cvoid, (Ptr{Cvoid},), pointer)

Base.copy(f::Focal) = Focal(
    make() do pointer
        GC.@preserve f ccall(
            fghm_focal_clone[],
            Int32,
            (Ptr{Cvoid}, Ref{Ptr{Cvoid}}),
            pointer_of(f),
            pointer,
        )
    end,
)

const FOCAL_SETTINGS = (
    alpha = Optional(fghm_focal_get_alpha, fghm_focal_set_alpha, fghm_focal_clear_alpha),
    negative_gamma = Optional(
        fghm_focal_get_negative_gamma,
        fghm_focal_set_negative_gamma,
        fghm_focal_clear_negative_gamma,
    ),
    positive_weight = Optional(
        fghm_focal_get_positive_weight,
        fghm_focal_set_positive_weight,
        fghm_focal_clear_positive_weight,
    ),
    gamma = number_setting(fghm_focal_get_gamma, fghm_focal_set_gamma),
    normalizer = number_setting(fghm_focal_get_normalizer, fghm_focal_set_normalizer),
    loss_weight = number_setting(fghm_focal_get_loss_weight, fghm_focal_set_loss_weight),
    hessian_floor = number_setting(fghm_focal_get_hessian_floor, fghm_focal_set_hessian_floor),
    hessian_factor = number_setting(fghm_focal_get_hessian_factor, fghm_focal_set_hessian_factor),
    beta = number_setting(fghm_focal_get_beta, fghm_focal_set_beta),
    margin = number_setting(fghm_focal_get_margin, fghm_focal_set_margin),
    detached = flag_setting(fghm_focal_get_detached, fghm_focal_set_detached),
    reduction = constant_setting(
        fghm_focal_get_reduction,
        fghm_focal_set_reduction,
        REDUCTIONS,
        "reduction",
    ),
    rule = constant_setting(fghm_focal_get_rule, fghm_focal_set_rule, RULES, "rule"),
    hessian_mode = constant_setting(
        fghm_focal_get_hessian_mode,
        fghm_focal_set_hessian_mode,
        HESSIAN_MODES,
        "hessian_mode",
    ),
)

Base.propertynames(::Focal, private = false) = keys(FOCAL_SETTINGS)

function Base.getproperty(f::Focal, name::Symbol)
    haskey(FOCAL_SETTINGS, name) || unknown_setting(f, name)
    return read_setting(f, FOCAL_SETTINGS[name], name)
end

function Base.setproperty!(f::Focal, name::Symbol, value)
    haskey(FOCAL_SETTINGS, name) || unknown_setting(f, name)
    write_setting(f, FOCAL_SETTINGS[name], name, value)
    return value
end

Base.show(io::IO, f::Focal) = show_settings(io, f)

"""
    loss!(focal, logits, targets; dims, activation, pool, ...) -> Result

Computes the loss of an array of logits, and writes the outputs that are given.

`targets` is an array of as many numbers in [0, 1], or labels, one for each sample: see
[`ZeroBased`](@ref) and [`OneBased`](@ref).  A sample is what is left of the logits without the
dimension `dims`, along which the classes lie.

| keyword | what |
|---|---|
| `dims` | the dimension of the classes, needed for labels and softmax |
| `activation` | `:sigmoid` (unless set), `:softmax`, `:probability` |
| `ignore` | the value of targets that are ignored |
| `background` | `:none` (unless set), `:last`, `:first`, `:minus_one`: which label is no class |
| `scores` | with labels: the targets of the labelled classes, one for each sample |
| `nan_targets_ignored` | whether `NaN` is a missing target; with softmax its sample is ignored |
| `class_weights_of_terms` | softmax: whether factors of classes are those of the terms of a sample's loss |
| `label_smoothing` | in [0, 1] |
| `weights` | a factor for each element, or for each sample |
| `class_alpha`, `class_gamma`, `class_weights` | a vector of `Float64`, one for each class |
| `class_offsets` | the same, added to the logits |
| `element_loss` | output: the loss of each element; with softmax of each sample |
| `gradient`, `hessian` | outputs of the size of the logits |
| `pool` | threads to use |

Arrays are strided: arrays, views, reversed and permuted ones.  Arrays of samples have the size of
the logits without the dimension `dims`, or with the extent 1 there.  An input whose extent is 1 in
some dimension is repeated along it.  An output may be the very array of `logits`, `targets` or
`weights`; it may overlap no other.  Numbers are `Float32`, `Float64`, `Float16` or
[`FocalGHM.BFloat16`](@ref); targets and labels also `UInt8`, `Int32`, `Int64` and `Bool`.  All is
computed in double precision if the logits are `Float64`, else in single precision.
"""
function loss!(f::Focal, logits, targets; pool::Union{Nothing,Pool} = nothing, keywords...)
    GC.@preserve f pool begin
        return with_batch(logits, targets; keywords...) do batch, result
            ccall(
                fghm_focal_batch[],
                Int32,
                (Ptr{Cvoid}, Ptr{Cvoid}, Ref{Batch_C}, Ref{Result_C}),
                pointer_of(f),
                threads_of(pool),
                batch,
                result,
            )
        end
    end
end

"""
    best_constant(focal, positives, negatives)

The constant logit with the least loss for so many positives and negatives: the initial score for
boosting.
"""
function best_constant(f::Focal, positives::Real, negatives::Real)
    logit = Ref{Float64}()
    GC.@preserve f check(
        ccall(
            fghm_focal_best_constant[],
            Int32,
            (Ptr{Cvoid}, Float64, Float64, Ref{Float64}),
            pointer_of(f),
            positives,
            negatives,
            logit,
        ),
    )
    return logit[]
end

"""
    calibrate!(probabilities, focal, logits; pool)

Probabilities from the logits of a model that was trained with this configuration.  Both are
contiguous arrays of `Float32` or of `Float64`, or one array.
"""
function calibrate!(probabilities, f::Focal, logits::AbstractArray{T}; pool = nothing) where {T}
    entry =
        T === Float32 ? fghm_focal_calibrate_f32 :
        T === Float64 ? fghm_focal_calibrate_f64 :
        throw(ArgumentError("logits are Float32 or Float64, not $T"))
    n = length(logits)
    GC.@preserve f pool logits probabilities check(
        ccall(
            entry[],
            Int32,
            (Ptr{Cvoid}, Ptr{Cvoid}, Csize_t, Ptr{T}, Ptr{T}),
            pointer_of(f),
            threads_of(pool),
            n,
            dense(logits, "logits", T, n),
            dense(probabilities, "probabilities", T, n),
        ),
    )
    return probabilities
end

"""
    best_constant_softmax(focal, frequencies; class_gamma, class_weights) -> Vector{Float64}

The constant logits with the least softmax loss for classes of these frequencies: the initial scores
for boosting.  `class_gamma` and `class_weights` are vectors of `Float64`, one for each class.
"""
function best_constant_softmax(
    f::Focal,
    frequencies::Vector{Float64};
    class_gamma = nothing,
    class_weights = nothing,
)
    classes = length(frequencies)
    logits = Vector{Float64}(undef, classes)
    GC.@preserve f frequencies class_gamma class_weights check(
        ccall(
            fghm_focal_best_constant_softmax[],
            Int32,
            (Ptr{Cvoid}, Csize_t, Ptr{Float64}, Ptr{Float64}, Ptr{Float64}, Ptr{Float64}),
            pointer_of(f),
            classes,
            frequencies,
            dense(class_gamma, "class_gamma", Float64, classes),
            dense(class_weights, "class_weights", Float64, classes),
            logits,
        ),
    )
    return logits
end

"""
    calibrate_softmax!(probabilities, focal, logits; class_gamma, class_weights, pool)

Class probabilities from the logits of a model that was trained with this configuration and softmax.
The classes lie along the first dimension.  Arrays are as those of [`calibrate!`](@ref),
`class_gamma` and `class_weights` vectors of `Float64`, one for each class.
"""
function calibrate_softmax!(
    probabilities,
    f::Focal,
    logits::AbstractArray{T};
    class_gamma = nothing,
    class_weights = nothing,
    pool = nothing,
) where {T}
    entry =
        T === Float32 ? fghm_focal_calibrate_softmax_f32 :
        T === Float64 ? fghm_focal_calibrate_softmax_f64 :
        throw(ArgumentError("logits are Float32 or Float64, not $T"))
    n, classes = length(logits), size(logits, 1)
    GC.@preserve f pool logits probabilities class_gamma class_weights check(
        ccall(
            entry[],
            Int32,
            (
                Ptr{Cvoid},
                Ptr{Cvoid},
                Csize_t,
                Csize_t,
                Ptr{T},
                Ptr{Float64},
                Ptr{Float64},
                Ptr{T},
            ),
            pointer_of(f),
            threads_of(pool),
            classes == 0 ? 0 : n ÷ classes,
            classes,
            dense(logits, "logits", T, n),
            dense(class_gamma, "class_gamma", Float64, classes),
            dense(class_weights, "class_weights", Float64, classes),
            dense(probabilities, "probabilities", T, n),
        ),
    )
    return probabilities
end
