# SPDX-License-Identifier: MIT

"""
The numbers of a call: `loss` (that is `sum / divisor`), `sum`, `divisor`, `sum_weights`,
`sum_targets`, and how many `elements` there were (with softmax: samples), how many were `valid`,
and how many of these `positives`.
"""
struct Result
    loss::Float64
    sum::Float64
    divisor::Float64
    sum_weights::Float64
    sum_targets::Float64
    elements::Int
    valid::Int
    positives::Int
end

"""
What the C library finds wrong.

- `status`: what kind of thing, e.g. `:range`, `:label`; `code`, its number in C; `message`, its
  sentence.
- `field`: where, an argument or a setting, e.g. `:gradient`; `:none` where the call has but one.
- `other_field`: the other of two that do not go together, else `:none`.
- `place`: what `index` counts, `:element`, `:sample`, `:class` or `:axis`, or `:none`.
- `index`: the first that is in error, from 1, in Julia's order (a linear index of the logits, or of
  an array of samples; a dimension); 0 for none.
- `result`: after `:target`, `:probability` and `:score` a [`Result`](@ref) without the elements in
  question: their results are `NaN`, those of all others are right.  Else `nothing`, and then
  nothing has been written and no handle has changed.

Sizes that do not match are a `DimensionMismatch`; arrays and constants that cannot be passed, an
`ArgumentError`.
"""
struct FocalGHMError <: Exception
    status::Symbol
    code::Int
    message::String
    field::Symbol
    other_field::Symbol
    place::Symbol
    index::Int
    result::Union{Nothing,Result}
end

function FocalGHMError(code, field = :none, other = :none, place = :none, index = 0, result = nothing)
    message = unsafe_string(ccall(fghm_status_string[], Cstring, (Int32,), code))
    return FocalGHMError(name_of(fghm_status_name, code), code, message, field, other, place, index, result)
end

function Base.showerror(io::IO, e::FocalGHMError)
    print(io, "FocalGHMError: ")
    if e.field !== :none
        print(io, e.field)
        e.other_field === :none || print(io, " and ", e.other_field)
        print(io, ": ")
    end
    print(io, e.message)
    e.place === :none || print(io, ", ", e.place, " ", e.index)
end

# The name that C has for a status, a field or a place.
function name_of(entry::Entry, number)
    name = unsafe_string(ccall(entry[], Cstring, (Int32,), number))
    return isempty(name) ? :none : Symbol(name)
end

check(status::Int32, field = :none) = status == 0 ? nothing : throw(FocalGHMError(status, field))

# The number of a constant whose names are listed from `first` on.
function constant(names, name, what, first = 0)
    index = findfirst(isequal(name), names)
    index === nothing &&
        throw(ArgumentError("$what is one of $(join(repr.(names), ", ")), not $(repr(name))"))
    return Int32(index - 1 + first)
end
