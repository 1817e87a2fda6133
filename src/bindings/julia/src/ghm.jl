# SPDX-License-Identifier: MIT

const KINDS = (:classification, :regression)
const GHM_REDUCTIONS = REDUCTIONS[1:3]
const MOMENTUM_RULES = (:corrected, :reference)
const DIVISORS = (:nonempty_bins, :all_bins)

"""
    GHM(kind; settings...)
    GHM(state)

The gradient harmonizing mechanism, for `:classification` or `:regression`: settings, and a history
of what [`step!`](@ref) or [`update!`](@ref) have seen.  Settings are properties:
`ghm.bins = 30`.  Those that would make the history meaningless (`bins`, `edges`, `histograms`, `mu`,
`momentum_rule`) are refused while there is one: see [`reset!`](@ref).

| setting | values | unless set |
|---|---|---|
| `bins` | bins of equal width, 1 to 4096 | 10 |
| `edges` | a vector of numbers that rise from 0 to 1, one more than bins | |
| `histograms` | 1 for all elements, or one for each class | 1 |
| `mu` | of regression, in [1e-30, 1e30] | 0.02 |
| `momentum` | in [0, 1) | 0 |
| `momentum_rule` | `$(join(MOMENTUM_RULES, "`, `"))` | `corrected` |
| `divisor` | `$(join(DIVISORS, "`, `"))` | `nonempty_bins` |
| `weight_cap` | what no weight is above, from 2^-40 | `Inf` |
| `loss_weight` | a factor of all results, 0 or in [2^-40, 2^40] | 1 |
| `reduction` | `$(join(GHM_REDUCTIONS, "`, `"))` | `mean` |
| `normalizer` | the divisor of the reduction `normalizer` | 1 |

`ghm.kind` can be read.  The second form makes a handle from what [`save`](@ref) returned; `copy`
makes another handle with the same settings and history, `close` frees one.
"""
mutable struct GHM <: Handle
    pointer::Ptr{Cvoid}
    GHM(pointer::Ptr{Cvoid}) = own(new(pointer))
end

function GHM(kind::Symbol; settings...)
    number = constant(KINDS, kind, "kind", 1)
    pointer = make(p -> ccall(fghm_ghm_create[], Int32, (Ref{Ptr{Cvoid}}, Int32), p, number), :kind)
    return set_all(GHM(pointer), settings)
end

GHM(state::DenseVector{UInt8}) = GHM(
    make() do p
        GC.@preserve state ccall(
            fghm_ghm_create_from_state[],
            Int32,
            (Ref{Ptr{Cvoid}}, Csize_t, Ptr{UInt8}),
            p,
            length(state),
            pointer(state),
        )
    end,
)

destroy(::Type{GHM}, pointer) = ccall(fghm_ghm_destroy[], Cvoid, (Ptr{Cvoid},), pointer)

Base.copy(g::GHM) = GHM(
    make() do p
        GC.@preserve g ccall(
            fghm_ghm_clone[],
            Int32,
            (Ptr{Cvoid}, Ref{Ptr{Cvoid}}),
            pointer_of(g),
            p,
        )
    end,
)

const GHM_SETTINGS = (
    bins = integer_setting(fghm_ghm_get_bins, fghm_ghm_set_bins),
    histograms = integer_setting(fghm_ghm_get_histograms, fghm_ghm_set_histograms),
    mu = number_setting(fghm_ghm_get_mu, fghm_ghm_set_mu),
    momentum = number_setting(fghm_ghm_get_momentum, fghm_ghm_set_momentum),
    momentum_rule = constant_setting(
        fghm_ghm_get_momentum_rule,
        fghm_ghm_set_momentum_rule,
        MOMENTUM_RULES,
        "momentum_rule",
    ),
    divisor = constant_setting(fghm_ghm_get_divisor, fghm_ghm_set_divisor, DIVISORS, "divisor"),
    weight_cap = number_setting(fghm_ghm_get_weight_cap, fghm_ghm_set_weight_cap),
    loss_weight = number_setting(fghm_ghm_get_loss_weight, fghm_ghm_set_loss_weight),
    reduction = constant_setting(
        fghm_ghm_get_reduction,
        fghm_ghm_set_reduction,
        GHM_REDUCTIONS,
        "reduction",
    ),
    normalizer = number_setting(fghm_ghm_get_normalizer, fghm_ghm_set_normalizer),
)

kind(g::GHM) =
    read_setting(g, Setting{Int32}(fghm_ghm_get_kind, fghm_ghm_get_kind, i -> KINDS[i], identity), :kind)

# Classification has no mu.
function Base.propertynames(g::GHM, private = false)
    names = (:kind, :edges, keys(GHM_SETTINGS)...)
    return kind(g) === :regression ? names : Tuple(n for n in names if n !== :mu)
end

function Base.getproperty(g::GHM, name::Symbol)
    name === :kind && return kind(g)
    name === :edges && return edges(g)
    haskey(GHM_SETTINGS, name) || unknown_setting(g, name)
    return read_setting(g, GHM_SETTINGS[name], name)
end

function Base.setproperty!(g::GHM, name::Symbol, value)
    if name === :edges
        set_edges(g, value)
    elseif name === :kind
        throw(ArgumentError("the kind of a handle cannot be changed"))
    else
        haskey(GHM_SETTINGS, name) || unknown_setting(g, name)
        write_setting(g, GHM_SETTINGS[name], name, value)
    end
    return value
end

Base.show(io::IO, g::GHM) = show_settings(io, g)

# Reads `size` numbers.
function read_numbers(g::GHM, entry::Entry, ::Type{T}, size...) where {T}
    numbers = Array{T}(undef, size...)
    GC.@preserve g check(
        ccall(
            entry[],
            Int32,
            (Ptr{Cvoid}, Csize_t, Ptr{T}),
            pointer_of(g),
            length(numbers),
            numbers,
        ),
    )
    return numbers
end

edges(g::GHM) = read_numbers(g, fghm_ghm_get_edges, Float64, g.bins + 1)

function set_edges(g::GHM, edges::DenseVector{Float64})
    isempty(edges) && throw(ArgumentError("edges are at least two numbers"))
    GC.@preserve g edges check(
        ccall(
            fghm_ghm_set_edges[],
            Int32,
            (Ptr{Cvoid}, Csize_t, Ptr{Float64}),
            pointer_of(g),
            length(edges) - 1,
            pointer(edges),
        ),
        :edges,
    )
end
set_edges(::GHM, edges) =
    throw(ArgumentError("edges, a $(typeof(edges)), are no dense vector of Float64"))

"""
    step!(ghm, inputs, targets; ...) -> Result

One step: counts the elements, updates the history, and applies the weights that follow.

`inputs` are logits, or for regression predictions.  Keywords are those of [`loss!`](@ref), but:
`weights` is a mask, an element is valid where its number is above 0; there are no factors of
classes; and `harmonizing_weight` is an output for the weight of each element (softmax: sample).
After an error outputs and history are as they were.
"""
step!(g::GHM, inputs, targets; keywords...) =
    compute(g, fghm_ghm_step_batch, inputs, targets; keywords...)

"""
    apply!(ghm, inputs, targets; ...) -> Result

The third part of a step: applies the weights that the handle has.  Arguments are those of
[`step!`](@ref).
"""
apply!(g::GHM, inputs, targets; keywords...) =
    compute(g, fghm_ghm_apply_batch, inputs, targets; keywords...)

function compute(g::GHM, entry, inputs, targets; pool::Union{Nothing,Pool} = nothing, keywords...)
    GC.@preserve g pool begin
        return with_batch(inputs, targets; keywords...) do batch, result
            ccall(
                entry[],
                Int32,
                (Ptr{Cvoid}, Ptr{Cvoid}, Ref{Batch_C}, Ref{Result_C}),
                pointer_of(g),
                threads_of(pool),
                batch,
                result,
            )
        end
    end
end

counts_pointer(counts::DenseArray{UInt64}) = pointer(counts)
counts_pointer(counts) =
    throw(ArgumentError("counts, a $(typeof(counts)), are no dense array of UInt64"))

"""
    count!(counts, ghm, inputs, targets; ...) -> Result

The first part of a step: adds the counts of the elements to `counts`, an array of `UInt64` like
that which [`counts`](@ref) returns.  Counts of parts, of threads or of machines may be added up.
Arguments are those of [`step!`](@ref); outputs are checked but not written.
"""
function Base.count!(counts, g::GHM, inputs, targets; pool::Union{Nothing,Pool} = nothing, keywords...)
    GC.@preserve g pool counts begin
        return with_batch(inputs, targets; keywords...) do batch, result
            ccall(
                fghm_ghm_count_batch[],
                Int32,
                (Ptr{Cvoid}, Ptr{Cvoid}, Ref{Batch_C}, Csize_t, Ptr{UInt64}, Ref{Result_C}),
                pointer_of(g),
                threads_of(pool),
                batch,
                length(counts),
                counts_pointer(counts),
                result,
            )
        end
    end
end

"""
    update!(ghm, counts)

The second part of a step, once for all its elements: moves the averages and makes the weights.
"""
function update!(g::GHM, counts)
    GC.@preserve g counts check(
        ccall(
            fghm_ghm_update[],
            Int32,
            (Ptr{Cvoid}, Csize_t, Ptr{UInt64}),
            pointer_of(g),
            length(counts),
            counts_pointer(counts),
        ),
        :counts,
    )
    return g
end

"""
    density!(weights, ghm, inputs, targets; mask, pool)

The weights of the paper's gradient density, which bins approximate.  All are contiguous arrays of
`Float32` or of `Float64`.
"""
function density!(
    weights,
    g::GHM,
    inputs::AbstractArray{T},
    targets;
    mask = nothing,
    pool = nothing,
) where {T}
    entry =
        T === Float32 ? fghm_ghm_density_f32 :
        T === Float64 ? fghm_ghm_density_f64 :
        throw(ArgumentError("inputs are Float32 or Float64, not $T"))
    n = length(inputs)
    GC.@preserve g pool weights inputs targets mask check(
        ccall(
            entry[],
            Int32,
            (Ptr{Cvoid}, Ptr{Cvoid}, Csize_t, Ptr{T}, Ptr{T}, Ptr{T}, Ptr{T}),
            pointer_of(g),
            threads_of(pool),
            n,
            dense(inputs, "inputs", T, n),
            dense(targets, "targets", T, n),
            dense(mask, "mask", T, n),
            dense(weights, "weights", T, n),
        ),
    )
    return weights
end

"""
    counts(ghm)

The counts of the last update, zeros before the first: a column for each histogram, of each bin's
number and that of the valid elements in no bin.
"""
counts(g::GHM) = read_numbers(g, fghm_ghm_get_counts, UInt64, g.bins + 1, g.histograms)

"The averages: a column for each histogram."
averages(g::GHM) = read_numbers(g, fghm_ghm_get_averages, Float64, g.bins, g.histograms)

"The weights of the bins: a column for each histogram."
bin_weights(g::GHM) = read_numbers(g, fghm_ghm_get_weights, Float64, g.bins, g.histograms)

"How many bins of each histogram had elements at the last update."
nonempty(g::GHM) = Int.(read_numbers(g, fghm_ghm_get_nonempty, Csize_t, g.histograms))

"How many updates there have been since the handle was made or reset."
steps(g::GHM) =
    Int(read_setting(g, Setting{UInt64}(fghm_ghm_get_steps, fghm_ghm_get_steps, identity, identity), :steps))

"Forgets the history, and keeps the settings."
function reset!(g::GHM)
    GC.@preserve g check(ccall(fghm_ghm_reset[], Int32, (Ptr{Cvoid},), pointer_of(g)))
    return g
end

"""
    save(ghm)

The kind, all settings and the history as bytes, the same on every machine.
"""
function save(g::GHM)
    size = read_setting(g, integer_setting(fghm_ghm_get_state_size, fghm_ghm_get_state_size), :none)
    return read_numbers(g, fghm_ghm_save, UInt8, size)
end

"""
    load!(ghm, state)

Replaces all settings and the history by what [`save`](@ref) returned for a handle of the same kind.
"""
function load!(g::GHM, state::DenseVector{UInt8})
    GC.@preserve g state check(
        ccall(
            fghm_ghm_load[],
            Int32,
            (Ptr{Cvoid}, Csize_t, Ptr{UInt8}),
            pointer_of(g),
            length(state),
            pointer(state),
        ),
    )
    return g
end
