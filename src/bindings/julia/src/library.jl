# SPDX-License-Identifier: MIT

# The functions of the C library that are called here.  Those for contiguous arrays of one type,
# fghm_focal_f32 and the like, are not: batches do the same, with the same bits.
const FUNCTIONS = (
    :fghm_field_name,
    :fghm_focal_batch,
    :fghm_focal_best_constant,
    :fghm_focal_best_constant_softmax,
    :fghm_focal_calibrate_f32,
    :fghm_focal_calibrate_f64,
    :fghm_focal_calibrate_softmax_f32,
    :fghm_focal_calibrate_softmax_f64,
    :fghm_focal_clear_alpha,
    :fghm_focal_clear_negative_gamma,
    :fghm_focal_clear_positive_weight,
    :fghm_focal_clone,
    :fghm_focal_create,
    :fghm_focal_destroy,
    :fghm_focal_get_alpha,
    :fghm_focal_get_beta,
    :fghm_focal_get_margin,
    :fghm_focal_get_detached,
    :fghm_focal_get_gamma,
    :fghm_focal_get_hessian_factor,
    :fghm_focal_get_hessian_floor,
    :fghm_focal_get_hessian_mode,
    :fghm_focal_get_loss_weight,
    :fghm_focal_get_negative_gamma,
    :fghm_focal_get_normalizer,
    :fghm_focal_get_positive_weight,
    :fghm_focal_get_reduction,
    :fghm_focal_get_rule,
    :fghm_focal_set_alpha,
    :fghm_focal_set_beta,
    :fghm_focal_set_margin,
    :fghm_focal_set_detached,
    :fghm_focal_set_gamma,
    :fghm_focal_set_hessian_factor,
    :fghm_focal_set_hessian_floor,
    :fghm_focal_set_hessian_mode,
    :fghm_focal_set_loss_weight,
    :fghm_focal_set_negative_gamma,
    :fghm_focal_set_normalizer,
    :fghm_focal_set_positive_weight,
    :fghm_focal_set_reduction,
    :fghm_focal_set_rule,
    :fghm_ghm_apply_batch,
    :fghm_ghm_clone,
    :fghm_ghm_count_batch,
    :fghm_ghm_create,
    :fghm_ghm_create_from_state,
    :fghm_ghm_density_f32,
    :fghm_ghm_density_f64,
    :fghm_ghm_destroy,
    :fghm_ghm_get_averages,
    :fghm_ghm_get_bins,
    :fghm_ghm_get_counts,
    :fghm_ghm_get_divisor,
    :fghm_ghm_get_edges,
    :fghm_ghm_get_histograms,
    :fghm_ghm_get_kind,
    :fghm_ghm_get_loss_weight,
    :fghm_ghm_get_momentum,
    :fghm_ghm_get_momentum_rule,
    :fghm_ghm_get_mu,
    :fghm_ghm_get_nonempty,
    :fghm_ghm_get_normalizer,
    :fghm_ghm_get_reduction,
    :fghm_ghm_get_state_size,
    :fghm_ghm_get_steps,
    :fghm_ghm_get_weight_cap,
    :fghm_ghm_get_weights,
    :fghm_ghm_load,
    :fghm_ghm_reset,
    :fghm_ghm_save,
    :fghm_ghm_set_bins,
    :fghm_ghm_set_divisor,
    :fghm_ghm_set_edges,
    :fghm_ghm_set_histograms,
    :fghm_ghm_set_loss_weight,
    :fghm_ghm_set_momentum,
    :fghm_ghm_set_momentum_rule,
    :fghm_ghm_set_mu,
    :fghm_ghm_set_normalizer,
    :fghm_ghm_set_reduction,
    :fghm_ghm_set_weight_cap,
    :fghm_ghm_step_batch,
    :fghm_ghm_update,
    :fghm_isa_name,
    :fghm_numerics_revision,
    :fghm_place_name,
    :fghm_pool_create,
    :fghm_pool_destroy,
    :fghm_pool_get_threads,
    :fghm_status_name,
    :fghm_status_string,
    :fghm_version,
    :fghm_version_number,
)

# Each is where it lies, once the library is loaded: ccall(fghm_version[], ...).
const Entry = Ref{Ptr{Cvoid}}
for name in FUNCTIONS
    @eval const $name = Entry(C_NULL)
end

# The version of the interface that is mirrored here.
const MAJOR, MINOR = 0, 2

function library_path()
    path = get(ENV, "FOCALGHM_LIBRARY", "")
    isempty(path) || return path
    names = ["libfocalghm.so.$MAJOR.$MINOR", "libfocalghm.$MAJOR.$MINOR", "libfocalghm"]
    found = find_library(names)
    isempty(found) && error(
        "libfocalghm $MAJOR.$MINOR is not installed; FOCALGHM_LIBRARY may say where it is",
    )
    return found
end

function __init__()
    library = dlopen(library_path())
    for name in FUNCTIONS
        getfield(FocalGHM, name)[] = dlsym(library, name)
    end
    number = ccall(fghm_version_number[], Int32, ())
    number ÷ 100 == 100 * MAJOR + MINOR ||
        error("libfocalghm $(version()) is not of version $MAJOR.$MINOR")
end

"The version of the C library that is running."
version() = VersionNumber(unsafe_string(ccall(fghm_version[], Cstring, ())))

"A number that changes when, and only when, a release of the C library gives other bits."
numerics_revision() = Int(ccall(fghm_numerics_revision[], Int32, ()))

"The name of the instruction set that computes, e.g. \"avx2\"."
isa_name() = unsafe_string(ccall(fghm_isa_name[], Cstring, ()))
