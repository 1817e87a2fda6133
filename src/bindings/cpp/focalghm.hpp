// SPDX-License-Identifier: MIT
#ifndef FOCALGHM_HPP
#define FOCALGHM_HPP

/**
 * @file
 * libfocalghm in C++17: handles that own, views of arrays, exceptions.
 *
 * Everything here is inline and calls the C interface, whose headers say what is computed and what
 * is allowed.  Names are those of C without their prefix.  Include paths and flags are those of C.
 *
 * @code
 * std::vector<float> logits{2.0f, -1.5f, 0.3f, -4.0f}, targets{1, 0, 1, 0}, gradient(4);
 * focalghm::focal focal;
 * focal.set_gamma(1.5).clear_alpha();
 * double loss = focal.compute(logits, targets, focalghm::gradient_into(gradient));
 * @endcode
 *
 * **Handles** can be moved, not copied; clone() makes another one.  Using one that was moved from
 * throws status::null_handle.  As in C, any number of threads may use a handle in const members,
 * and one thread in the others.
 *
 * **Arrays** are never copied, and nothing keeps them but a batch, until its last call.  Their
 * type decides how numbers are read (see dtype_of): another type does not compile.  Lengths are
 * checked: a wrong one throws shape_error before C is called.
 *
 * **Errors** of C are thrown as status_error.  Both have the base error.
 */

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <focalghm/focalghm.h>

namespace focalghm {

// Constants ------------------------------------------------------------------------------

/** What kind of thing is wrong; see status.h. */
enum class status : fghm_status {
    ok = FGHM_OK,
    null_handle = FGHM_ERROR_NULL_HANDLE,
    null_pointer = FGHM_ERROR_NULL_POINTER,
    no_output = FGHM_ERROR_NO_OUTPUT,
    memory = FGHM_ERROR_MEMORY,
    threads = FGHM_ERROR_THREADS,
    structure = FGHM_ERROR_STRUCT,
    uninitialized = FGHM_ERROR_UNINITIALIZED,
    unset = FGHM_ERROR_UNSET,
    range = FGHM_ERROR_RANGE,
    constant = FGHM_ERROR_CONSTANT,
    size = FGHM_ERROR_SIZE,
    dtype = FGHM_ERROR_DTYPE,
    layout = FGHM_ERROR_LAYOUT,
    stride = FGHM_ERROR_STRIDE,
    aliasing = FGHM_ERROR_ALIASING,
    combination = FGHM_ERROR_COMBINATION,
    kind = FGHM_ERROR_KIND,
    history = FGHM_ERROR_HISTORY,
    capacity = FGHM_ERROR_CAPACITY,
    histograms = FGHM_ERROR_HISTOGRAMS,
    counts = FGHM_ERROR_COUNTS,
    edges = FGHM_ERROR_EDGES,
    state = FGHM_ERROR_STATE,
    divisor = FGHM_ERROR_DIVISOR,
    label = FGHM_ERROR_LABEL,
    target = FGHM_ERROR_TARGET,
    probability = FGHM_ERROR_PROBABILITY,
    score = FGHM_ERROR_SCORE
};

/** Where an error is: an argument, a part of a batch or a setting; see status.h. */
enum class field : fghm_field {
    none = FGHM_FIELD_NONE,
    batch = FGHM_FIELD_BATCH,
    result = FGHM_FIELD_RESULT,
    size = FGHM_FIELD_SIZE,
    tag = FGHM_FIELD_TAG,
    ndim = FGHM_FIELD_NDIM,
    class_axis = FGHM_FIELD_CLASS_AXIS,
    shape = FGHM_FIELD_SHAPE,
    activation = FGHM_FIELD_ACTIVATION,
    target_form = FGHM_FIELD_TARGET_FORM,
    background = FGHM_FIELD_BACKGROUND,
    flags = FGHM_FIELD_FLAGS,
    ignore_index = FGHM_FIELD_IGNORE_INDEX,
    label_smoothing = FGHM_FIELD_LABEL_SMOOTHING,
    class_alpha = FGHM_FIELD_CLASS_ALPHA,
    class_gamma = FGHM_FIELD_CLASS_GAMMA,
    class_weights = FGHM_FIELD_CLASS_WEIGHTS,
    class_offsets = FGHM_FIELD_CLASS_OFFSETS,
    logits = FGHM_FIELD_LOGITS,
    targets = FGHM_FIELD_TARGETS,
    scores = FGHM_FIELD_SCORES,
    weights = FGHM_FIELD_WEIGHTS,
    element_loss = FGHM_FIELD_ELEMENT_LOSS,
    gradient = FGHM_FIELD_GRADIENT,
    hessian = FGHM_FIELD_HESSIAN,
    harmonizing_weight = FGHM_FIELD_HARMONIZING_WEIGHT,
    counts = FGHM_FIELD_COUNTS,
    capacity = FGHM_FIELD_CAPACITY,
    gamma = FGHM_FIELD_GAMMA,
    negative_gamma = FGHM_FIELD_NEGATIVE_GAMMA,
    alpha = FGHM_FIELD_ALPHA,
    loss_weight = FGHM_FIELD_LOSS_WEIGHT,
    reduction = FGHM_FIELD_REDUCTION,
    normalizer = FGHM_FIELD_NORMALIZER,
    rule = FGHM_FIELD_RULE,
    hessian_mode = FGHM_FIELD_HESSIAN_MODE,
    hessian_floor = FGHM_FIELD_HESSIAN_FLOOR,
    detached = FGHM_FIELD_DETACHED,
    beta = FGHM_FIELD_BETA,
    margin = FGHM_FIELD_MARGIN,
    positive_weight = FGHM_FIELD_POSITIVE_WEIGHT,
    hessian_factor = FGHM_FIELD_HESSIAN_FACTOR,
    kind = FGHM_FIELD_KIND,
    bins = FGHM_FIELD_BINS,
    edges = FGHM_FIELD_EDGES,
    histograms = FGHM_FIELD_HISTOGRAMS,
    mu = FGHM_FIELD_MU,
    momentum = FGHM_FIELD_MOMENTUM,
    momentum_rule = FGHM_FIELD_MOMENTUM_RULE,
    bin_divisor = FGHM_FIELD_BIN_DIVISOR,
    weight_cap = FGHM_FIELD_WEIGHT_CAP
};

/** What the index of an offender counts; see status.h. */
enum class place : fghm_place {
    none = FGHM_PLACE_NONE,
    element = FGHM_PLACE_ELEMENT,
    sample = FGHM_PLACE_SAMPLE,
    class_index = FGHM_PLACE_CLASS,
    axis = FGHM_PLACE_AXIS
};

/** How a number is stored; see batch.h. */
enum class dtype : fghm_dtype {
    unset = FGHM_DTYPE_UNSET,
    f32 = FGHM_F32,
    f64 = FGHM_F64,
    f16 = FGHM_F16,
    bf16 = FGHM_BF16,
    u8 = FGHM_U8,
    i32 = FGHM_I32,
    i64 = FGHM_I64
};

/** How an array lies in memory; see batch.h. */
enum class layout : fghm_layout {
    contiguous = FGHM_LAYOUT_CONTIGUOUS,
    strided = FGHM_LAYOUT_STRIDED,
    per_sample = FGHM_LAYOUT_PER_SAMPLE
};

/** What the logits array holds; see batch.h. */
enum class activation : fghm_activation {
    sigmoid = FGHM_SIGMOID,
    softmax = FGHM_SOFTMAX,
    probability = FGHM_PROBABILITY
};

/** What the targets are; see batch.h. */
enum class target_form : fghm_target_form {
    dense = FGHM_TARGET_DENSE,
    label = FGHM_TARGET_LABEL,
    label_score = FGHM_TARGET_LABEL_SCORE
};

/** Which label means "none of the classes"; see batch.h. */
enum class background : fghm_background {
    none = FGHM_BACKGROUND_NONE,
    last = FGHM_BACKGROUND_LAST,
    first = FGHM_BACKGROUND_FIRST,
    minus_one = FGHM_BACKGROUND_MINUS_ONE
};

/** How losses become one number; see reduction.h. */
enum class reduction : fghm_reduction {
    sum = FGHM_REDUCTION_SUM,
    mean = FGHM_REDUCTION_MEAN,
    normalizer = FGHM_REDUCTION_NORMALIZER,
    mean_samples = FGHM_REDUCTION_MEAN_SAMPLES,
    mean_positives = FGHM_REDUCTION_MEAN_POSITIVES,
    mean_valid = FGHM_REDUCTION_MEAN_VALID,
    mean_weights = FGHM_REDUCTION_MEAN_WEIGHTS,
    mean_targets = FGHM_REDUCTION_MEAN_TARGETS
};

/** Which focal loss it is; see focal.h. */
enum class focal_rule : fghm_focal_rule {
    linear = FGHM_FOCAL_RULE_LINEAR,
    split = FGHM_FOCAL_RULE_SPLIT,
    quality = FGHM_FOCAL_RULE_QUALITY,
    star = FGHM_FOCAL_RULE_STAR,
    varifocal = FGHM_FOCAL_RULE_VARIFOCAL,
    varifocal_unweighted = FGHM_FOCAL_RULE_VARIFOCAL_UNWEIGHTED,
    matchability = FGHM_FOCAL_RULE_MATCHABILITY,
    heatmap = FGHM_FOCAL_RULE_HEATMAP
};

/** What Hessians hold; see focal.h. */
enum class hessian_mode : fghm_hessian_mode {
    exact = FGHM_HESSIAN_EXACT,
    floored = FGHM_HESSIAN_FLOORED,
    absolute = FGHM_HESSIAN_ABSOLUTE,
    gauss_newton = FGHM_HESSIAN_GAUSS_NEWTON,
    gradient = FGHM_HESSIAN_GRADIENT
};

/** Which loss a GHM handle is for; see ghm.h. */
enum class ghm_kind : fghm_ghm_kind {
    classification = FGHM_GHM_CLASSIFICATION,
    regression = FGHM_GHM_REGRESSION
};

/** What momentum does; see ghm.h. */
enum class momentum_rule : fghm_ghm_momentum_rule {
    corrected = FGHM_GHM_MOMENTUM_CORRECTED,
    reference = FGHM_GHM_MOMENTUM_REFERENCE
};

/** What weights are divided by; see ghm.h. */
enum class bin_divisor : fghm_ghm_divisor {
    nonempty_bins = FGHM_GHM_DIVISOR_NONEMPTY_BINS,
    all_bins = FGHM_GHM_DIVISOR_ALL_BINS
};

/** For the class axis of a batch: there is none. */
constexpr std::int32_t no_class_axis = FGHM_AXIS_NONE;

/** For ignore_index: no value means "ignore". */
constexpr std::int64_t ignore_none = FGHM_IGNORE_NONE;

// Version, texts -------------------------------------------------------------------------

/** The version of the library that is running. */
inline std::string_view version() noexcept {
    return fghm_version();
}

/** The same as a number, as FGHM_VERSION has it. */
inline std::int32_t version_number() noexcept {
    return fghm_version_number();
}

/** Changes when a release gives other bits for the same input. */
inline std::int32_t numerics_revision() noexcept {
    return fghm_numerics_revision();
}

/** The instruction set that computes. */
inline std::string_view isa_name() noexcept {
    return fghm_isa_name();
}

/** A sentence for a status, without a full stop. */
inline std::string_view sentence(status status) noexcept {
    return fghm_status_string(static_cast<fghm_status>(status));
}

/** Names as C has them: "range"; "class_axis", and "" for field::none; "sample", and "" for
 * place::none. */
inline std::string_view name(status status) noexcept {
    return fghm_status_name(static_cast<fghm_status>(status));
}
inline std::string_view name(field field) noexcept {
    return fghm_field_name(static_cast<fghm_field>(field));
}
inline std::string_view name(place place) noexcept {
    return fghm_place_name(static_cast<fghm_place>(place));
}

// Errors ---------------------------------------------------------------------------------

/** What came of a call over a batch; see fghm_result in batch.h. */
struct result {
    explicit result(const fghm_result &of) noexcept
        : loss(of.loss), sum(of.sum), divisor(of.divisor), sum_weights(of.sum_weights),
          sum_targets(of.sum_targets), elements(of.elements), valid(of.valid),
          positives(of.positives) {
    }

    double loss;
    double sum;
    double divisor;
    double sum_weights;
    double sum_targets;
    std::uint64_t elements;
    std::uint64_t valid;
    std::uint64_t positives;
};

/** The base of all that is thrown here.  what() is a sentence that says where, too. */
class error : public std::runtime_error {
  public:
    error(focalghm::field where, const std::string &sentence)
        : std::runtime_error(sentence), field_(where) {
    }

    /** Where: an argument, a part of the batch or a setting; field::none where C does not say. */
    focalghm::field field() const noexcept {
        return field_;
    }

  private:
    focalghm::field field_;
};

/** An array has another length, or other strides, than the shape of the call asks for. */
class shape_error : public error {
  public:
    shape_error(focalghm::field where, const std::string &sentence)
        : error(where, std::string(name(where)) + (where == focalghm::field::none ? "" : ": ") +
                           sentence) {
    }
};

/** An error of the C library. */
class status_error : public error {
  public:
    /** An error that a call without a result has returned. */
    explicit status_error(focalghm::status status, focalghm::field where = focalghm::field::none)
        : status_error(converted(status, where)) {
    }

    /** An error that a call over a batch has returned. */
    explicit status_error(const fghm_result &result)
        : error(focalghm::field{result.field}, text(result)),
          status_(focalghm::status{result.status}),
          other_field_(focalghm::field{result.other_field}), place_(focalghm::place{result.place}),
          offender_(result.offender), result_(result) {
    }

    focalghm::status status() const noexcept {
        return status_;
    }

    /** Of two things that do not go together, the other one. */
    focalghm::field other_field() const noexcept {
        return other_field_;
    }

    /** What offender() counts. */
    focalghm::place place() const noexcept {
        return place_;
    }

    /** The first element, sample, class or axis that is in error, else -1. */
    std::int64_t offender() const noexcept {
        return offender_;
    }

    /** Whether only some elements are in error: the results of all others have been written. */
    bool is_of_elements() const noexcept {
        return status_ == focalghm::status::target || status_ == focalghm::status::probability ||
               status_ == focalghm::status::score;
    }

    /** After an element error of a batch, its numbers without the elements in question. */
    const focalghm::result &result() const noexcept {
        return result_;
    }

  private:
    static fghm_result converted(focalghm::status status, focalghm::field where) noexcept {
        fghm_result result = FGHM_RESULT_INIT;
        result.status = static_cast<fghm_status>(status);
        result.field = static_cast<fghm_field>(where);
        return result;
    }

    static std::string text(const fghm_result &result) {
        std::string text = fghm_field_name(result.field);
        if (result.other_field != FGHM_FIELD_NONE) {
            text += std::string(", ") + fghm_field_name(result.other_field);
        }
        if (!text.empty()) {
            text += ": ";
        }
        text += fghm_status_string(result.status);
        if (result.place != FGHM_PLACE_NONE) {
            text += std::string(", ") + fghm_place_name(result.place) + " " +
                    std::to_string(result.offender);
        }
        return text;
    }

    focalghm::status status_;
    focalghm::field other_field_;
    focalghm::place place_;
    std::int64_t offender_;
    focalghm::result result_;
};

// Views ----------------------------------------------------------------------------------

/** A number in IEEE binary16, for those who have no type for it. */
struct float16 {
    std::uint16_t bits;
};

/** A number in bfloat16, for those who have no type for it. */
struct bfloat16 {
    std::uint16_t bits;
};

/** What a specialization of dtype_of derives from. */
template <dtype Value> struct dtype_constant : std::integral_constant<dtype, Value> {};

/** How a type is stored.  There is none for a type that the library does not know.  A 16-bit type
 * of somebody else's is made known so:
 *
 *     template <>
 *     struct focalghm::dtype_of<half> : focalghm::dtype_constant<focalghm::dtype::f16> {};
 */
template <class Number, class = void> struct dtype_of;
template <> struct dtype_of<float> : dtype_constant<dtype::f32> {};
template <> struct dtype_of<double> : dtype_constant<dtype::f64> {};
template <> struct dtype_of<float16> : dtype_constant<dtype::f16> {};
template <> struct dtype_of<bfloat16> : dtype_constant<dtype::bf16> {};
template <> struct dtype_of<bool> : dtype_constant<dtype::u8> {};
template <> struct dtype_of<unsigned char> : dtype_constant<dtype::u8> {};
template <class Integer>
struct dtype_of<Integer,
                std::enable_if_t<std::is_integral_v<Integer> && std::is_signed_v<Integer> &&
                                 (sizeof(Integer) == 4 || sizeof(Integer) == 8)>>
    : dtype_constant<sizeof(Integer) == 4 ? dtype::i32 : dtype::i64> {};

static_assert(sizeof(bool) == 1, "fghm_batch has a bool in a byte");

/** Contiguous numbers of somebody else's: std::span, but the same type in C++17 and C++20, so that
 * a program may have files of both.  Any contiguous container or std::span becomes one; a
 * temporary container only to read from it. */
template <class Number> class view {
  public:
    using element_type = Number;

    constexpr view() noexcept = default;

    constexpr view(Number *data, std::size_t size) noexcept : data_(data), size_(size) {
    }

    template <class Range, class Pointer = decltype(std::data(std::declval<Range &>())),
              class = decltype(std::size(std::declval<Range &>())),
              class = std::enable_if_t<
                  std::is_convertible_v<std::remove_pointer_t<Pointer> (*)[], Number (*)[]> &&
                  (std::is_const_v<Number> || std::is_lvalue_reference_v<Range> ||
                   std::is_trivially_copyable_v<Range>)>>
    constexpr view(Range &&range) : data_(std::data(range)), size_(std::size(range)) {
    }

    constexpr Number *data() const noexcept {
        return data_;
    }
    constexpr std::size_t size() const noexcept {
        return size_;
    }
    constexpr Number *begin() const noexcept {
        return data_;
    }
    constexpr Number *end() const noexcept {
        return data_ + size_;
    }
    constexpr Number &operator[](std::size_t index) const noexcept {
        return data_[index];
    }

  private:
    Number *data_ = nullptr;
    std::size_t size_ = 0;
};

/** The arrays that a plain call need not have: which of them it reads and writes.  For GHM,
 * weights are the mask. */
template <class Real> struct arrays {
    std::optional<view<const Real>> weights = std::nullopt;
    std::optional<view<Real>> element_loss = std::nullopt;
    std::optional<view<Real>> gradient = std::nullopt;
    std::optional<view<Real>> hessian = std::nullopt;
};

/** What the classes of softmax had in training; see fghm_focal_calibrate_softmax_f32. */
struct class_numbers {
    std::optional<view<const double>> gamma = std::nullopt;
    std::optional<view<const double>> weights = std::nullopt;
};

/** The arrays of a call that writes a gradient, and of these no other. */
template <class Range,
          class Real = std::remove_pointer_t<decltype(std::data(std::declval<Range &>()))>>
arrays<Real> gradient_into(Range &&gradient) {
    arrays<Real> more;
    more.gradient = view<Real>(std::forward<Range>(gradient));
    return more;
}

// Inside ---------------------------------------------------------------------------------

namespace detail {

/** Throws where C has returned an error. */
inline void check(fghm_status returned, field where = field::none) {
    if (returned != FGHM_OK) {
        throw status_error(status{returned}, where);
    }
}

inline void check_length(field where, std::size_t length, std::size_t needed) {
    if (length != needed) {
        throw shape_error(where, std::to_string(length) + " numbers in place of " +
                                     std::to_string(needed));
    }
}

/** The start of an array whose length has been checked. */
template <class Number> Number *start(field where, view<Number> numbers, std::size_t needed) {
    check_length(where, numbers.size(), needed);
    return numbers.data();
}

/** The same for an array that need not be there. */
template <class Number>
Number *start(field where, const std::optional<view<Number>> &numbers, std::size_t needed) {
    return numbers ? start(where, *numbers, needed) : nullptr;
}

/** The functions of C for a type. */
template <class Real> struct functions;
template <> struct functions<float> {
    static constexpr auto focal = &fghm_focal_f32;
    static constexpr auto softmax = &fghm_focal_softmax_f32;
    static constexpr auto calibrate = &fghm_focal_calibrate_f32;
    static constexpr auto calibrate_softmax = &fghm_focal_calibrate_softmax_f32;
    static constexpr auto step = &fghm_ghm_step_f32;
    static constexpr auto count = &fghm_ghm_count_f32;
    static constexpr auto apply = &fghm_ghm_apply_f32;
    static constexpr auto density = &fghm_ghm_density_f32;
};
template <> struct functions<double> {
    static constexpr auto focal = &fghm_focal_f64;
    static constexpr auto softmax = &fghm_focal_softmax_f64;
    static constexpr auto calibrate = &fghm_focal_calibrate_f64;
    static constexpr auto calibrate_softmax = &fghm_focal_calibrate_softmax_f64;
    static constexpr auto step = &fghm_ghm_step_f64;
    static constexpr auto count = &fghm_ghm_count_f64;
    static constexpr auto apply = &fghm_ghm_apply_f64;
    static constexpr auto density = &fghm_ghm_density_f64;
};

template <class Range>
using number_of =
    std::remove_cv_t<std::remove_pointer_t<decltype(std::data(std::declval<const Range &>()))>>;

/** float or double, as the numbers of a range are; there is none for another range. */
template <class Range, class Number = number_of<Range>>
using real_of =
    std::enable_if_t<std::is_same_v<Number, float> || std::is_same_v<Number, double>, Number>;

template <class Handle, void (*destroy)(Handle *)> struct deleter {
    void operator()(Handle *handle) const noexcept {
        destroy(handle);
    }
};

/** What handles have in common: a C handle of their own, and how it is set and read. */
template <class Handle, void (*destroy)(Handle *)> class owner {
  public:
    /** The handle of C, which stays this object's; NULL if it was moved from. */
    Handle *native() const noexcept {
        return handle_.get();
    }

  protected:
    owner() noexcept = default;

    void adopt(Handle *handle) noexcept {
        handle_.reset(handle);
    }

    template <class Value, class Given>
    void set(fghm_status (*setter)(Handle *, Value), Given value, field where) {
        check(setter(native(), static_cast<Value>(value)), where);
    }

    /** Value is what C writes, Returned what it becomes: the same number, or its enum class. */
    template <class Returned, class Value>
    Returned read(fghm_status (*getter)(const Handle *, Value *)) const {
        Value value{};
        check(getter(native(), &value));
        return static_cast<Returned>(value);
    }

    template <class Number>
    std::vector<Number> read(fghm_status (*getter)(const Handle *, std::size_t, Number *),
                             std::size_t size) const {
        std::vector<Number> numbers(size);
        check(getter(native(), numbers.size(), numbers.data()));
        return numbers;
    }

  private:
    std::unique_ptr<Handle, deleter<Handle, destroy>> handle_;
};

} // namespace detail

// Pools ----------------------------------------------------------------------------------

/** What a run function of the caller's calls, once with each index. */
class task {
  public:
    task(fghm_task function, void *context) noexcept : function_(function), context_(context) {
    }

    void operator()(std::size_t index) const {
        function_(context_, index);
    }

  private:
    fghm_task function_;
    void *context_;
};

/** Threads for calls; see pool.h. */
class pool : public detail::owner<fghm_pool, fghm_pool_destroy> {
  public:
    /** Calls task(0) ... task(tasks - 1) on any threads, and returns when all have returned. */
    using run = std::function<void(std::size_t tasks, const task &task)>;

    /** Threads of its own; 0: one for each processor. */
    explicit pool(std::size_t threads = 0) {
        fghm_pool *handle = nullptr;
        detail::check(fghm_pool_create(&handle, threads));
        adopt(handle);
    }

    /** Threads of the caller's.  An exception of the function cannot go through C, and would leave
     * the call half done: it ends the program. */
    pool(std::size_t threads, run function) : run_(std::make_unique<run>(std::move(function))) {
        fghm_pool *handle = nullptr;
        detail::check(
            fghm_pool_create_from(&handle, threads, *run_ ? &call_run : nullptr, run_.get()));
        adopt(handle);
    }

    pool(pool &&) noexcept = default;
    pool &operator=(pool &&other) noexcept {
        adopt(nullptr); // before the function that it calls
        run_ = std::move(other.run_);
        detail::owner<fghm_pool, fghm_pool_destroy>::operator=(std::move(other));
        return *this;
    }
    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;
    ~pool() {
        adopt(nullptr);
    }

    /** How many threads work on a call, the calling one included. */
    std::size_t threads() const {
        return read<std::size_t>(&fghm_pool_get_threads);
    }

  private:
    static void call_run(void *user, std::size_t tasks, fghm_task function,
                         void *context) noexcept {
        (*static_cast<run *>(user))(tasks, task(function, context));
    }

    std::unique_ptr<run> run_;
};

namespace detail {

inline fghm_pool *native(const pool *threads) noexcept {
    return threads == nullptr ? nullptr : threads->native();
}

} // namespace detail

// Batches --------------------------------------------------------------------------------

/** An array of a batch: where its numbers lie, and how many there are.  Void is const for one that
 * is read.  Contiguous ranges become one by themselves; see strided() and per_sample(). */
template <class Void> struct array {
    template <class Range, class Pointer = decltype(std::data(std::declval<Range &>())),
              class Number = std::remove_cv_t<std::remove_pointer_t<Pointer>>,
              class = std::enable_if_t<std::is_convertible_v<Pointer, Void *> &&
                                       (std::is_lvalue_reference_v<Range> ||
                                        std::is_trivially_copyable_v<Range>)>,
              dtype Stored = dtype_of<Number>::value>
    array(Range &&range, focalghm::layout how = layout::contiguous)
        : data(std::data(range)), size(std::size(range)), width(sizeof(Number)), stored(Stored),
          lies(how) {
    }

    /** An array that is written can be read, too. */
    template <class Other, class = std::enable_if_t<std::is_same_v<Void, const Other>>>
    array(const array<Other> &other) noexcept
        : data(other.data), size(other.size), width(other.width), stored(other.stored),
          lies(other.lies), first(other.first), axes(other.axes), strides(other.strides) {
    }

    Void *data;
    std::size_t size;
    std::size_t width;
    dtype stored;
    layout lies;
    std::size_t first = 0; /**< which number has the index 0 on every axis */
    std::size_t axes = 0;  /**< how many strides there are */
    std::array<std::int64_t, FGHM_AXES_MAX> strides{};
};

using input = array<const void>;
using output = array<void>;

namespace detail {

template <class Range>
using array_of = array<std::conditional_t<
    std::is_const_v<std::remove_pointer_t<decltype(std::data(std::declval<Range &>()))>>,
    const void, void>>;

} // namespace detail

/** Numbers of a range that lie as the strides say, which count numbers: one for each axis of the
 * batch, and 0 for the class axis in an array of samples.  numbers[first] has index 0 on every
 * axis.  What the strides reach must be in the range. */
template <class Range>
detail::array_of<Range> strided(Range &&numbers, view<const std::int64_t> strides,
                                std::size_t first = 0) {
    detail::array_of<Range> array(std::forward<Range>(numbers), layout::strided);
    array.first = first;
    array.axes = strides.size();
    for (std::size_t axis = 0; axis < strides.size() && axis < array.strides.size(); axis++) {
        array.strides[axis] = strides[axis];
    }
    return array;
}

template <class Range>
detail::array_of<Range> strided(Range &&numbers, std::initializer_list<std::int64_t> strides,
                                std::size_t first = 0) {
    return strided(std::forward<Range>(numbers),
                   view<const std::int64_t>(strides.begin(), strides.size()), first);
}

/** One number for each sample, repeated for the classes. */
template <class Range> detail::array_of<Range> per_sample(Range &&numbers) {
    return {std::forward<Range>(numbers), layout::per_sample};
}

/**
 * A batch in any form; see batch.h.  A value: copies describe the same arrays, which must live as
 * long as it is used.  Members set what has their name in fghm_batch.
 *
 * @code
 * focalghm::batch batch({images, 21, height, width}, 1);
 * batch.activation(focalghm::activation::softmax).target_form(focalghm::target_form::label);
 * batch.ignore_index(255).logits(logits).targets(labels).gradient(gradient);
 * focalghm::result result = focal.compute(batch);
 * @endcode
 */
class batch {
  public:
    /** The shape, and which of its axes has the classes. */
    explicit batch(view<const std::int64_t> shape, std::int32_t class_axis = no_class_axis) {
        detail::check(fghm_batch_init(&batch_, sizeof batch_), field::batch);
        batch_.ndim = static_cast<std::int32_t>(std::min<std::size_t>(shape.size(), INT32_MAX));
        batch_.class_axis = class_axis;
        for (std::size_t axis = 0; axis < shape.size() && axis < FGHM_AXES_MAX; axis++) {
            batch_.shape[axis] = shape[axis];
        }
    }

    explicit batch(std::initializer_list<std::int64_t> shape,
                   std::int32_t class_axis = no_class_axis)
        : batch(view<const std::int64_t>(shape.begin(), shape.size()), class_axis) {
    }

    batch &activation(focalghm::activation value) noexcept {
        batch_.activation = static_cast<fghm_activation>(value);
        return *this;
    }
    batch &target_form(focalghm::target_form value) noexcept {
        batch_.target_form = static_cast<fghm_target_form>(value);
        return *this;
    }
    batch &background(focalghm::background value) noexcept {
        batch_.background = static_cast<fghm_background>(value);
        return *this;
    }
    batch &nan_targets_ignored(bool ignored = true) noexcept {
        return flag(FGHM_NAN_TARGETS_IGNORED, ignored);
    }
    batch &class_weights_of_terms(bool of_terms = true) noexcept {
        return flag(FGHM_CLASS_WEIGHTS_OF_TERMS, of_terms);
    }
    batch &ignore_index(std::int64_t value) noexcept {
        batch_.ignore_index = value;
        return *this;
    }
    batch &label_smoothing(double value) noexcept {
        batch_.label_smoothing = value;
        return *this;
    }

    batch &class_alpha(view<const double> factors) noexcept {
        return put(factors, batch_.class_alpha, field::class_alpha);
    }
    batch &class_gamma(view<const double> factors) noexcept {
        return put(factors, batch_.class_gamma, field::class_gamma);
    }
    batch &class_weights(view<const double> factors) noexcept {
        return put(factors, batch_.class_weights, field::class_weights);
    }
    batch &class_offsets(view<const double> factors) noexcept {
        return put(factors, batch_.class_offsets, field::class_offsets);
    }

    batch &logits(const input &array) {
        return put(array, batch_.logits, field::logits);
    }
    batch &targets(const input &array) {
        return put(array, batch_.targets, field::targets);
    }
    batch &scores(const input &array) {
        return put(array, batch_.scores, field::scores);
    }
    batch &weights(const input &array) {
        return put(array, batch_.weights, field::weights);
    }
    batch &element_loss(const output &array) {
        return put(array, batch_.element_loss, field::element_loss);
    }
    batch &gradient(const output &array) {
        return put(array, batch_.gradient, field::gradient);
    }
    batch &hessian(const output &array) {
        return put(array, batch_.hessian, field::hessian);
    }
    batch &harmonizing_weight(const output &array) {
        return put(array, batch_.harmonizing_weight, field::harmonizing_weight);
    }

    /** What C is given, after the lengths of all arrays have been checked. */
    const fghm_batch &native() const {
        for (fghm_field where = FGHM_FIELD_CLASS_ALPHA; where <= last_slot; where++) {
            const std::optional<memory> &given = memory_[slot_of(field{where})];
            std::size_t before = 0, after = 0;
            /* An error is one that C returns in the call, too. */
            if (given && fghm_batch_reach(&batch_, where, &before, &after) == FGHM_OK) {
                check_memory(field{where}, *given, before, after);
            }
        }
        return batch_;
    }

  private:
    static constexpr fghm_field first_slot = FGHM_FIELD_CLASS_ALPHA;
    static constexpr fghm_field last_slot = FGHM_FIELD_HARMONIZING_WEIGHT;

    /** How many numbers there are, which has index 0, and how many strides, if they are strided. */
    struct memory {
        std::size_t size, first;
        std::optional<std::size_t> axes;
    };

    template <class Slot, class Void>
    batch &put(const array<Void> &array, Slot &slot, field where) {
        using byte = std::conditional_t<std::is_const_v<Void>, const std::byte, std::byte>;
        if (array.first > array.size) {
            throw shape_error(where, "the first number is outside");
        }
        slot.data = static_cast<byte *>(array.data) + array.first * array.width;
        slot.dtype = static_cast<fghm_dtype>(array.stored);
        slot.layout = static_cast<fghm_layout>(array.lies);
        std::copy(array.strides.begin(), array.strides.end(), slot.strides);
        memory_[slot_of(where)] = memory{array.size, array.first, std::nullopt};
        if (array.lies == layout::strided) {
            memory_[slot_of(where)]->axes = array.axes;
        }
        return *this;
    }

    batch &flag(std::int32_t bit, bool is_set) noexcept {
        batch_.flags = is_set ? batch_.flags | bit : batch_.flags & ~bit;
        return *this;
    }

    batch &put(view<const double> factors, const double *&slot, field where) noexcept {
        slot = factors.data();
        memory_[slot_of(where)] = memory{factors.size(), 0, std::nullopt};
        return *this;
    }

    static std::size_t slot_of(field where) noexcept {
        return static_cast<std::size_t>(static_cast<fghm_field>(where) - first_slot);
    }

    void check_memory(field where, const memory &given, std::size_t before,
                      std::size_t after) const {
        if (!given.axes) {
            detail::check_length(where, given.size, after);
        } else if (*given.axes != static_cast<std::size_t>(batch_.ndim)) {
            throw shape_error(where, std::to_string(*given.axes) + " strides for " +
                                         std::to_string(batch_.ndim) + " axes");
        } else if (given.first < before || given.size - given.first < after) {
            throw shape_error(where, "strides leave the array");
        }
    }

    fghm_batch batch_{};
    std::array<std::optional<memory>, last_slot - first_slot + 1> memory_{};
};

namespace detail {

/** Makes a call over a batch, and its result. */
template <class Call> result call_batch(Call call) {
    fghm_result numbers = FGHM_RESULT_INIT;
    const fghm_status returned = call(&numbers);
    if (returned != FGHM_OK) {
        numbers.status = returned;
        throw status_error(numbers);
    }
    return result(numbers);
}

} // namespace detail

// Focal loss -----------------------------------------------------------------------------

/** A configuration of the focal loss; see focal.h. */
class focal : public detail::owner<fghm_focal, fghm_focal_destroy> {
  public:
    /** gamma 2, alpha 0.25, the mean over the elements. */
    focal() {
        fghm_focal *handle = nullptr;
        detail::check(fghm_focal_create(&handle));
        adopt(handle);
    }

    /** Another handle with the same settings. */
    focal clone() const {
        fghm_focal *copy = nullptr;
        detail::check(fghm_focal_clone(native(), &copy));
        return focal(copy);
    }

    focal &set_gamma(double gamma) {
        set(&fghm_focal_set_gamma, gamma, field::gamma);
        return *this;
    }
    double gamma() const {
        return read<double>(&fghm_focal_get_gamma);
    }

    focal &set_negative_gamma(double gamma) {
        set(&fghm_focal_set_negative_gamma, gamma, field::negative_gamma);
        return *this;
    }
    focal &clear_negative_gamma() {
        detail::check(fghm_focal_clear_negative_gamma(native()));
        return *this;
    }
    /** None while negatives follow gamma. */
    std::optional<double> negative_gamma() const {
        double gamma = 0;
        std::int32_t set = 0;
        detail::check(fghm_focal_get_negative_gamma(native(), &gamma, &set));
        return set != 0 ? std::optional(gamma) : std::nullopt;
    }

    focal &set_alpha(double alpha) {
        set(&fghm_focal_set_alpha, alpha, field::alpha);
        return *this;
    }
    focal &clear_alpha() {
        detail::check(fghm_focal_clear_alpha(native()));
        return *this;
    }
    /** None while alpha is off. */
    std::optional<double> alpha() const {
        double alpha = 0;
        std::int32_t enabled = 0;
        detail::check(fghm_focal_get_alpha(native(), &alpha, &enabled));
        return enabled != 0 ? std::optional(alpha) : std::nullopt;
    }

    focal &set_reduction(focalghm::reduction reduction) {
        set(&fghm_focal_set_reduction, reduction, field::reduction);
        return *this;
    }
    focalghm::reduction reduction() const {
        return read<focalghm::reduction>(&fghm_focal_get_reduction);
    }

    focal &set_normalizer(double normalizer) {
        set(&fghm_focal_set_normalizer, normalizer, field::normalizer);
        return *this;
    }
    double normalizer() const {
        return read<double>(&fghm_focal_get_normalizer);
    }

    focal &set_loss_weight(double loss_weight) {
        set(&fghm_focal_set_loss_weight, loss_weight, field::loss_weight);
        return *this;
    }
    double loss_weight() const {
        return read<double>(&fghm_focal_get_loss_weight);
    }

    focal &set_rule(focal_rule rule) {
        set(&fghm_focal_set_rule, rule, field::rule);
        return *this;
    }
    focal_rule rule() const {
        return read<focal_rule>(&fghm_focal_get_rule);
    }

    focal &set_hessian_mode(focalghm::hessian_mode mode) {
        set(&fghm_focal_set_hessian_mode, mode, field::hessian_mode);
        return *this;
    }
    focalghm::hessian_mode hessian_mode() const {
        return read<focalghm::hessian_mode>(&fghm_focal_get_hessian_mode);
    }

    focal &set_hessian_floor(double floor) {
        set(&fghm_focal_set_hessian_floor, floor, field::hessian_floor);
        return *this;
    }
    double hessian_floor() const {
        return read<double>(&fghm_focal_get_hessian_floor);
    }

    focal &set_hessian_factor(double factor) {
        set(&fghm_focal_set_hessian_factor, factor, field::hessian_factor);
        return *this;
    }
    double hessian_factor() const {
        return read<double>(&fghm_focal_get_hessian_factor);
    }

    focal &set_detached(bool detached) {
        set(&fghm_focal_set_detached, detached, field::detached);
        return *this;
    }
    bool detached() const {
        return read<bool>(&fghm_focal_get_detached);
    }

    focal &set_beta(double beta) {
        set(&fghm_focal_set_beta, beta, field::beta);
        return *this;
    }
    double beta() const {
        return read<double>(&fghm_focal_get_beta);
    }

    focal &set_margin(double margin) {
        set(&fghm_focal_set_margin, margin, field::margin);
        return *this;
    }
    double margin() const {
        return read<double>(&fghm_focal_get_margin);
    }

    focal &set_positive_weight(double weight) {
        set(&fghm_focal_set_positive_weight, weight, field::positive_weight);
        return *this;
    }
    focal &clear_positive_weight() {
        detail::check(fghm_focal_clear_positive_weight(native()));
        return *this;
    }
    /** None while there is no factor of positives but alpha. */
    std::optional<double> positive_weight() const {
        double weight = 0;
        std::int32_t set = 0;
        detail::check(fghm_focal_get_positive_weight(native(), &weight, &set));
        return set != 0 ? std::optional(weight) : std::nullopt;
    }

    /** The loss of elements, float or double; see fghm_focal_f32. */
    template <class Logits, class Real = detail::real_of<Logits>>
    double compute(const Logits &logits, view<const detail::real_of<Logits>> targets,
                   const arrays<detail::real_of<Logits>> &more = {},
                   const pool *threads = nullptr) const {
        const view<const Real> elements(logits);
        const std::size_t n = elements.size();
        double loss = 0;
        detail::check(
            detail::functions<Real>::focal(native(), detail::native(threads), n, elements.data(),
                                           detail::start(field::targets, targets, n),
                                           detail::start(field::weights, more.weights, n), &loss,
                                           detail::start(field::element_loss, more.element_loss, n),
                                           detail::start(field::gradient, more.gradient, n),
                                           detail::start(field::hessian, more.hessian, n)));
        return loss;
    }

    /** The softmax loss of rows of logits, one for each label; see fghm_focal_softmax_f32. */
    template <class Logits, class Real = detail::real_of<Logits>>
    double softmax(std::size_t classes, const Logits &logits, view<const std::int64_t> labels,
                   const arrays<detail::real_of<Logits>> &more = {},
                   std::int64_t ignore_index = ignore_none, const pool *threads = nullptr) const {
        const view<const Real> elements(logits);
        const std::size_t n = elements.size(), samples = labels.size();
        if (classes != 0 && (n % classes != 0 || n / classes != samples)) {
            throw shape_error(field::logits, std::to_string(n) + " numbers for " +
                                                 std::to_string(samples) + " labels");
        }
        double loss = 0;
        detail::check(detail::functions<Real>::softmax(
            native(), detail::native(threads), samples, classes, elements.data(), labels.data(),
            ignore_index, detail::start(field::weights, more.weights, samples), &loss,
            detail::start(field::element_loss, more.element_loss, samples),
            detail::start(field::gradient, more.gradient, n),
            detail::start(field::hessian, more.hessian, n)));
        return loss;
    }

    /** A batch in any form; see fghm_focal_batch. */
    result compute(const batch &batch, const pool *threads = nullptr) const {
        return detail::call_batch([&](fghm_result *numbers) {
            return fghm_focal_batch(native(), detail::native(threads), &batch.native(), numbers);
        });
    }

    /** The constant logit with the least loss; see fghm_focal_best_constant. */
    double best_constant(double positives, double negatives) const {
        double logit = 0;
        detail::check(fghm_focal_best_constant(native(), positives, negatives, &logit));
        return logit;
    }

    /** Probabilities from logits; see fghm_focal_calibrate_f32. */
    template <class Logits, class Real = detail::real_of<Logits>>
    void calibrate(const Logits &logits, view<detail::real_of<Logits>> probabilities,
                   const pool *threads = nullptr) const {
        const view<const Real> elements(logits);
        const std::size_t n = elements.size();
        detail::check_length(field::none, probabilities.size(), n);
        detail::check(detail::functions<Real>::calibrate(native(), detail::native(threads), n,
                                                         elements.data(), probabilities.data()));
    }

    /** Class probabilities from rows of logits; see fghm_focal_calibrate_softmax_f32. */
    template <class Logits, class Real = detail::real_of<Logits>>
    void calibrate_softmax(std::size_t classes, const Logits &logits,
                           view<detail::real_of<Logits>> probabilities,
                           const class_numbers &numbers = {}, const pool *threads = nullptr) const {
        const view<const Real> elements(logits);
        const std::size_t n = elements.size();
        if (classes != 0 && n % classes != 0) {
            throw shape_error(field::logits, std::to_string(n) + " numbers for " +
                                                 std::to_string(classes) + " classes");
        }
        detail::check_length(field::none, probabilities.size(), n);
        detail::check(detail::functions<Real>::calibrate_softmax(
            native(), detail::native(threads), classes == 0 ? n : n / classes, classes,
            elements.data(), detail::start(field::class_gamma, numbers.gamma, classes),
            detail::start(field::class_weights, numbers.weights, classes), probabilities.data()));
    }

    /** The constant logits with the least softmax loss; see fghm_focal_best_constant_softmax. */
    std::vector<double> best_constant_softmax(view<const double> frequencies,
                                              const class_numbers &numbers = {}) const {
        const std::size_t classes = frequencies.size();
        std::vector<double> logits(classes);
        detail::check(fghm_focal_best_constant_softmax(
            native(), classes, frequencies.data(),
            detail::start(field::class_gamma, numbers.gamma, classes),
            detail::start(field::class_weights, numbers.weights, classes), logits.data()));
        return logits;
    }

  private:
    explicit focal(fghm_focal *handle) noexcept {
        adopt(handle);
    }
};

// GHM ------------------------------------------------------------------------------------

/** Settings and history of the gradient harmonizing mechanism; see ghm.h. */
class ghm : public detail::owner<fghm_ghm, fghm_ghm_destroy> {
  public:
    /** 10 bins, no momentum, no cap, no history. */
    explicit ghm(ghm_kind kind) {
        fghm_ghm *handle = nullptr;
        detail::check(fghm_ghm_create(&handle, static_cast<fghm_ghm_kind>(kind)), field::kind);
        adopt(handle);
    }

    /** A handle with the kind, settings and history that were saved. */
    static ghm from_state(view<const std::uint8_t> state) {
        fghm_ghm *handle = nullptr;
        detail::check(fghm_ghm_create_from_state(&handle, state.size(), state.data()));
        return ghm(handle);
    }

    /** Another handle with the same kind, settings and history. */
    ghm clone() const {
        fghm_ghm *copy = nullptr;
        detail::check(fghm_ghm_clone(native(), &copy));
        return ghm(copy);
    }

    ghm_kind kind() const {
        return read<ghm_kind>(&fghm_ghm_get_kind);
    }

    ghm &set_bins(std::size_t bins) {
        set(&fghm_ghm_set_bins, bins, field::bins);
        return *this;
    }
    std::size_t bins() const {
        return read<std::size_t>(&fghm_ghm_get_bins);
    }

    /** One more edge than bins, from 0 to 1. */
    ghm &set_edges(view<const double> edges) {
        const std::size_t bins = edges.size() == 0 ? 0 : edges.size() - 1;
        detail::check(fghm_ghm_set_edges(native(), bins, edges.data()), field::edges);
        return *this;
    }
    std::vector<double> edges() const {
        return read<double>(&fghm_ghm_get_edges, bins() + 1);
    }

    ghm &set_histograms(std::size_t histograms) {
        set(&fghm_ghm_set_histograms, histograms, field::histograms);
        return *this;
    }
    std::size_t histograms() const {
        return read<std::size_t>(&fghm_ghm_get_histograms);
    }

    /** Of regression. */
    ghm &set_mu(double mu) {
        set(&fghm_ghm_set_mu, mu, field::mu);
        return *this;
    }
    double mu() const {
        return read<double>(&fghm_ghm_get_mu);
    }

    ghm &set_momentum(double momentum) {
        set(&fghm_ghm_set_momentum, momentum, field::momentum);
        return *this;
    }
    double momentum() const {
        return read<double>(&fghm_ghm_get_momentum);
    }

    ghm &set_momentum_rule(focalghm::momentum_rule rule) {
        set(&fghm_ghm_set_momentum_rule, rule, field::momentum_rule);
        return *this;
    }
    focalghm::momentum_rule momentum_rule() const {
        return read<focalghm::momentum_rule>(&fghm_ghm_get_momentum_rule);
    }

    ghm &set_divisor(bin_divisor divisor) {
        set(&fghm_ghm_set_divisor, divisor, field::bin_divisor);
        return *this;
    }
    bin_divisor divisor() const {
        return read<bin_divisor>(&fghm_ghm_get_divisor);
    }

    /** Infinity is no cap. */
    ghm &set_weight_cap(double cap) {
        set(&fghm_ghm_set_weight_cap, cap, field::weight_cap);
        return *this;
    }
    double weight_cap() const {
        return read<double>(&fghm_ghm_get_weight_cap);
    }

    ghm &set_loss_weight(double loss_weight) {
        set(&fghm_ghm_set_loss_weight, loss_weight, field::loss_weight);
        return *this;
    }
    double loss_weight() const {
        return read<double>(&fghm_ghm_get_loss_weight);
    }

    ghm &set_reduction(focalghm::reduction reduction) {
        set(&fghm_ghm_set_reduction, reduction, field::reduction);
        return *this;
    }
    focalghm::reduction reduction() const {
        return read<focalghm::reduction>(&fghm_ghm_get_reduction);
    }

    ghm &set_normalizer(double normalizer) {
        set(&fghm_ghm_set_normalizer, normalizer, field::normalizer);
        return *this;
    }
    double normalizer() const {
        return read<double>(&fghm_ghm_get_normalizer);
    }

    /** One step over elements, float or double: counts, updates, applies.  The mask,
     * arrays::weights, says which are valid.  See fghm_ghm_step_f32. */
    template <class Inputs, class Real = detail::real_of<Inputs>>
    double step(const Inputs &inputs, view<const detail::real_of<Inputs>> targets,
                const arrays<detail::real_of<Inputs>> &more = {}, const pool *threads = nullptr) {
        return call<Real>(detail::functions<Real>::step, native(), inputs, targets, more, threads);
    }

    /** The third part of a step; see fghm_ghm_apply_f32. */
    template <class Inputs, class Real = detail::real_of<Inputs>>
    double apply(const Inputs &inputs, view<const detail::real_of<Inputs>> targets,
                 const arrays<detail::real_of<Inputs>> &more = {},
                 const pool *threads = nullptr) const {
        return call<Real>(detail::functions<Real>::apply, native(), inputs, targets, more, threads);
    }

    /** The first part of a step: adds to counts_size() numbers; see fghm_ghm_count_f32. */
    template <class Inputs, class Real = detail::real_of<Inputs>>
    void count(const Inputs &inputs, view<const detail::real_of<Inputs>> targets,
               view<std::uint64_t> counts,
               std::optional<view<const detail::real_of<Inputs>>> mask = std::nullopt,
               const pool *threads = nullptr) const {
        const view<const Real> elements(inputs);
        const std::size_t n = elements.size();
        detail::check(detail::functions<Real>::count(
            native(), detail::native(threads), n, elements.data(),
            detail::start(field::targets, targets, n), detail::start(field::weights, mask, n),
            counts.size(), counts.data()));
    }

    /** The second part of a step, once for all its elements. */
    ghm &update(view<const std::uint64_t> counts) {
        detail::check(fghm_ghm_update(native(), counts.size(), counts.data()), field::counts);
        return *this;
    }

    /** A step over a batch; see fghm_ghm_step_batch. */
    result step(const batch &batch, const pool *threads = nullptr) {
        return detail::call_batch([&](fghm_result *numbers) {
            return fghm_ghm_step_batch(native(), detail::native(threads), &batch.native(), numbers);
        });
    }

    result count(const batch &batch, view<std::uint64_t> counts,
                 const pool *threads = nullptr) const {
        return detail::call_batch([&](fghm_result *numbers) {
            return fghm_ghm_count_batch(native(), detail::native(threads), &batch.native(),
                                        counts.size(), counts.data(), numbers);
        });
    }

    result apply(const batch &batch, const pool *threads = nullptr) const {
        return detail::call_batch([&](fghm_result *numbers) {
            return fghm_ghm_apply_batch(native(), detail::native(threads), &batch.native(),
                                        numbers);
        });
    }

    /** The weights of the exact density; see fghm_ghm_density_f32. */
    template <class Inputs, class Real = detail::real_of<Inputs>>
    void density(const Inputs &inputs, view<const detail::real_of<Inputs>> targets,
                 view<detail::real_of<Inputs>> weights,
                 std::optional<view<const detail::real_of<Inputs>>> mask = std::nullopt,
                 const pool *threads = nullptr) const {
        const view<const Real> elements(inputs);
        const std::size_t n = elements.size();
        detail::check(detail::functions<Real>::density(
            native(), detail::native(threads), n, elements.data(),
            detail::start(field::targets, targets, n), detail::start(field::weights, mask, n),
            detail::start(field::harmonizing_weight, weights, n)));
    }

    /** How many numbers counting and updating have: bins + 1 for each histogram. */
    std::size_t counts_size() const {
        return read<std::size_t>(&fghm_ghm_get_counts_size);
    }
    /** The counts of the last update, bins + 1 for each histogram. */
    std::vector<std::uint64_t> counts() const {
        return read<std::uint64_t>(&fghm_ghm_get_counts, counts_size());
    }
    /** The averages, bins for each histogram. */
    std::vector<double> averages() const {
        return read<double>(&fghm_ghm_get_averages, bins() * histograms());
    }
    /** The weights, bins for each histogram. */
    std::vector<double> weights() const {
        return read<double>(&fghm_ghm_get_weights, bins() * histograms());
    }
    /** How many bins had elements, for each histogram. */
    std::vector<std::size_t> nonempty() const {
        return read<std::size_t>(&fghm_ghm_get_nonempty, histograms());
    }
    std::uint64_t steps() const {
        return read<std::uint64_t>(&fghm_ghm_get_steps);
    }

    /** Forgets the history. */
    ghm &reset() {
        detail::check(fghm_ghm_reset(native()));
        return *this;
    }

    /** Kind, settings and history as bytes, the same on every machine. */
    std::vector<std::uint8_t> save() const {
        std::vector<std::uint8_t> state(read<std::size_t>(&fghm_ghm_get_state_size));
        detail::check(fghm_ghm_save(native(), state.size(), state.data()));
        return state;
    }

    /** Takes settings and history of a handle of the same kind. */
    ghm &load(view<const std::uint8_t> state) {
        detail::check(fghm_ghm_load(native(), state.size(), state.data()));
        return *this;
    }

  private:
    explicit ghm(fghm_ghm *handle) noexcept {
        adopt(handle);
    }

    template <class Real, class Function, class Handle, class Inputs>
    static double call(Function function, Handle *handle, const Inputs &inputs,
                       view<const Real> targets, const arrays<Real> &more, const pool *threads) {
        const view<const Real> elements(inputs);
        const std::size_t n = elements.size();
        double loss = 0;
        detail::check(function(handle, detail::native(threads), n, elements.data(),
                               detail::start(field::targets, targets, n),
                               detail::start(field::weights, more.weights, n), &loss,
                               detail::start(field::element_loss, more.element_loss, n),
                               detail::start(field::gradient, more.gradient, n),
                               detail::start(field::hessian, more.hessian, n)));
        return loss;
    }
};

} // namespace focalghm

#endif
