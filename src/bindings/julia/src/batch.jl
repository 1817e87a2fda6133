# SPDX-License-Identifier: MIT

const AXES_MAX = 8
const UNSET = typemin(Int64)
const NO_AXIS = Int32(-128)
const TAG = 0x46474d31

const ACTIVATIONS = (:sigmoid, :softmax, :probability)
const BACKGROUNDS = (:none, :last, :first, :minus_one)

"The upper half of a `Float32`: `reinterpret(FocalGHM.BFloat16, words)` makes an array of it of `UInt16`."
primitive type BFloat16 16 end

"""
    ZeroBased(labels)

Labels as targets, one for each sample: the classes are 0, 1, ... along `dims`, as C and Python
number them.  `labels` is an array of `UInt8`, `Int32`, `Int64` or `Bool`.
"""
struct ZeroBased{A<:AbstractArray}
    labels::A
end

"""
    OneBased(labels)

Labels as targets, one for each sample: the classes are 1, 2, ... along `dims`, as Julia numbers
them; 0 is none of them.  Not for softmax, for which the C library numbers the classes from 0.
"""
struct OneBased{A<:AbstractArray}
    labels::A
end

# The structs of C, field by field.
struct Array_C
    data::Ptr{Cvoid}
    dtype::Int32
    layout::Int32
    strides::NTuple{AXES_MAX,Int64}
end

const NO_ARRAY = Array_C(C_NULL, 0, 0, ntuple(_ -> 0, AXES_MAX))
const STRIDED = Int32(1)

struct Batch_C
    size::UInt32
    tag::UInt32
    ndim::Int32
    class_axis::Int32
    shape::NTuple{AXES_MAX,Int64}
    activation::Int32
    target_form::Int32
    background::Int32
    flags::Int32
    ignore_index::Int64
    label_smoothing::Float64
    class_alpha::Ptr{Float64}
    class_gamma::Ptr{Float64}
    class_weights::Ptr{Float64}
    class_offsets::Ptr{Float64}
    logits::Array_C
    targets::Array_C
    scores::Array_C
    weights::Array_C
    element_loss::Array_C
    gradient::Array_C
    hessian::Array_C
    harmonizing_weight::Array_C
end

struct Result_C
    size::UInt32
    filled::UInt32
    status::Int32
    field::Int32
    other_field::Int32
    place::Int32
    offender::Int64
    loss::Float64
    sum::Float64
    divisor::Float64
    sum_weights::Float64
    sum_targets::Float64
    elements::UInt64
    valid::UInt64
    positives::UInt64
end

empty_result() = Result_C(sizeof(Result_C), 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0)

dtype(::Type{Float32}) = Int32(1)
dtype(::Type{Float64}) = Int32(2)
dtype(::Type{Float16}) = Int32(3)
dtype(::Type{BFloat16}) = Int32(4)
dtype(::Type{UInt8}) = Int32(5)
dtype(::Type{Bool}) = Int32(5)
dtype(::Type{Int32}) = Int32(6)
dtype(::Type{Int64}) = Int32(7)
dtype(T::Type) = throw(ArgumentError("numbers of type $T cannot be passed as they are"))

# An array as one that has a pointer and strides, sharing its memory.
strided(a::StridedArray, _) = a
strided(a::PermutedDimsArray{T,N,P,Q,<:StridedArray}, _) where {T,N,P,Q} = a
strided(a::Union{Transpose{<:Real,<:StridedMatrix},Adjoint{<:Real,<:StridedMatrix}}, _) =
    PermutedDimsArray(parent(a), (2, 1))
strided(a, what) = throw(ArgumentError("$what, a $(typeof(a)), is no strided array"))

# What one call says of its shape: Julia's dimensions from last to first are C's axes, so that what
# is contiguous here is contiguous there, and elements have the same order.
struct Shape{N}
    size::NTuple{N,Int}
    dims::Int # of the classes; 0 for none
end

function Shape(logits::AbstractArray{<:Any,N}, dims) where {N}
    dims === nothing && return Shape{N}(size(logits), 0)
    1 <= dims <= N || throw(ArgumentError("dims = $dims of an array with $N dimensions"))
    return Shape{N}(size(logits), dims)
end

padded(numbers, fill) =
    ntuple(i -> i <= length(numbers) ? Int64(numbers[i]) : Int64(fill), AXES_MAX)

# Numbers for the dimensions of an array without that of the classes, with one for it.
with_dimension(numbers, dims, one, ::Val{N}) where {N} =
    ntuple(i -> i < dims ? numbers[i] : i == dims ? one : numbers[i-1], Val(N))

function fits(extents, shape::Shape{N}, of_samples, output) where {N}
    length(extents) == N || return false
    for i = 1:N
        wanted = of_samples && i == shape.dims ? 1 : shape.size[i]
        extents[i] == wanted || (extents[i] == 1 && !output) || return false
    end
    return true
end

# The strides of an array for each dimension of the shape.  Where an input has the extent 1 its value
# is repeated; one of samples may come with its dimension of classes, of extent 1, or without.
function strides_for(a::AbstractArray{<:Any,M}, shape::Shape{N}, what, of_samples, output) where {M,N}
    extents, steps = size(a), strides(a)
    if M == N - 1 && shape.dims != 0 && (of_samples || !output)
        return strides_with(
            with_dimension(extents, shape.dims, 1, Val(N)),
            with_dimension(steps, shape.dims, 0, Val(N)),
            a,
            shape,
            what,
            of_samples,
            output,
        )
    end
    return strides_with(extents, steps, a, shape, what, of_samples, output)
end

function strides_with(extents, steps, a, shape::Shape{N}, what, of_samples, output) where {N}
    fits(extents, shape, of_samples, output) || throw(
        DimensionMismatch(
            "$what has the size $(size(a)), and the logits have $(shape.size)" *
            (shape.dims == 0 ? "" : ", with classes along dimension $(shape.dims)"),
        ),
    )
    return ntuple(i -> extents[i] == 1 ? Int64(0) : Int64(steps[i]), Val(N))
end

describe(::Nothing, shape, what; of_samples = false, output = false) = NO_ARRAY
function describe(a, shape, what; of_samples = false, output = false)
    number = dtype(eltype(a))
    steps = strides_for(a, shape, what, of_samples, output)
    # An axis that is not in memory has the stride 0, but that of an output is not looked at.
    return Array_C(pointer(a), number, STRIDED, padded(reverse(steps), 0))
end

strided_or_nothing(::Nothing, _) = nothing
strided_or_nothing(a, what) = strided(a, what)

by_class(::Nothing, _, _) = C_NULL
function by_class(numbers::DenseVector{Float64}, shape, what)
    classes = shape.dims == 0 ? 1 : shape.size[shape.dims]
    length(numbers) == classes ||
        throw(DimensionMismatch("$what has $(length(numbers)) numbers for $classes classes"))
    return pointer(numbers)
end
by_class(numbers, _, what) =
    throw(ArgumentError("$what, a $(typeof(numbers)), is no dense vector of Float64"))

# Targets: the array, the form, and the background.
target_form(targets::AbstractArray, _, background, scores) = (targets, Int32(0), background)
target_form(targets::ZeroBased, _, background, scores) =
    (targets.labels, Int32(scores === nothing ? 1 : 2), background)
function target_form(targets::OneBased, activation, background, scores)
    activation === :softmax && throw(
        ArgumentError(
            "with softmax labels count from 0, and the C library cannot shift them: " *
            "make ZeroBased(labels .- 1)",
        ),
    )
    background in (:none, :first) || throw(
        ArgumentError("of labels from 1 on, 0 is the background, not $(repr(background))"),
    )
    return (targets.labels, Int32(scores === nothing ? 1 : 2), :first)
end

# Julia's index of an offender.
function offender_index(shape::Shape{N}, place, offender) where {N}
    offender < 0 && return 0
    return place === :axis ? N - offender : offender + 1
end

function result_of(r::Result_C)
    return Result(
        r.loss,
        r.sum,
        r.divisor,
        r.sum_weights,
        r.sum_targets,
        r.elements,
        r.valid,
        r.positives,
    )
end

const ELEMENT_ERRORS = (:target, :probability, :score)

# Calls `compute(batch, result)`, which returns a status, with what the arguments describe.
function with_batch(
    compute,
    logits,
    targets;
    dims::Union{Nothing,Integer} = nothing,
    activation::Symbol = :sigmoid,
    background::Symbol = :none,
    ignore::Union{Nothing,Integer} = nothing,
    nan_targets_ignored::Bool = false,
    class_weights_of_terms::Bool = false,
    label_smoothing::Real = 0,
    scores = nothing,
    weights = nothing,
    class_alpha = nothing,
    class_gamma = nothing,
    class_weights = nothing,
    class_offsets = nothing,
    element_loss = nothing,
    gradient = nothing,
    hessian = nothing,
    harmonizing_weight = nothing,
)
    softmax = activation === :softmax
    labels, form, background = target_form(targets, activation, background, scores)
    x, t = strided(logits, "logits"), strided(labels, "targets")
    s, w = strided_or_nothing(scores, "scores"), strided_or_nothing(weights, "weights")
    l, g = strided_or_nothing(element_loss, "element_loss"), strided_or_nothing(gradient, "gradient")
    h = strided_or_nothing(hessian, "hessian")
    hw = strided_or_nothing(harmonizing_weight, "harmonizing_weight")
    shape = Shape(x, dims)
    N = ndims(x)
    result = Ref(empty_result())
    GC.@preserve logits targets x t s w l g h hw class_alpha class_gamma class_weights class_offsets begin
        batch = Ref(
            Batch_C(
                sizeof(Batch_C),
                TAG,
                N,
                dims === nothing ? NO_AXIS : N - dims,
                padded(reverse(shape.size), UNSET),
                constant(ACTIVATIONS, activation, "activation"),
                form,
                constant(BACKGROUNDS, background, "background"),
                nan_targets_ignored + 2class_weights_of_terms,
                ignore === nothing ? typemin(Int64) : ignore,
                label_smoothing,
                by_class(class_alpha, shape, "class_alpha"),
                by_class(class_gamma, shape, "class_gamma"),
                by_class(class_weights, shape, "class_weights"),
                by_class(class_offsets, shape, "class_offsets"),
                describe(x, shape, "logits"),
                describe(t, shape, "targets"; of_samples = form != 0),
                describe(s, shape, "scores"; of_samples = true),
                describe(w, shape, "weights"; of_samples = softmax),
                describe(l, shape, "element_loss"; of_samples = softmax, output = true),
                describe(g, shape, "gradient"; output = true),
                describe(h, shape, "hessian"; output = true),
                describe(hw, shape, "harmonizing_weight"; of_samples = softmax, output = true),
            ),
        )
        status = compute(batch, result)
    end
    r = result[]
    status == 0 && return result_of(r)
    place = name_of(fghm_place_name, r.place)
    throw(
        FocalGHMError(
            status,
            name_of(fghm_field_name, r.field),
            name_of(fghm_field_name, r.other_field),
            place,
            offender_index(shape, place, r.offender),
            name_of(fghm_status_name, status) in ELEMENT_ERRORS && r.filled > 40 ? result_of(r) : nothing,
        ),
    )
end

# Contiguous arrays of one type, for the functions that take no batch.
function dense(a, what, ::Type{T}, n) where {T}
    a isa StridedArray{T} && strides(a) == Base.size_to_strides(1, size(a)...) ||
        throw(ArgumentError("$what, a $(typeof(a)), is no contiguous array of $T"))
    length(a) == n || throw(DimensionMismatch("$what has $(length(a)) numbers, not $n"))
    return pointer(a)
end
dense(::Nothing, _, ::Type{T}, _) where {T} = Ptr{T}(C_NULL)
