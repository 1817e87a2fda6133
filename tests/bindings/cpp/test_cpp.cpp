// SPDX-License-Identifier: MIT

// The C++ interface: each function gives the bits of the C calls, each error has its fields, and
// what must not compile does not.

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <focalghm.hpp>

#ifdef __cpp_lib_span
#include <span>
#endif

using namespace focalghm;

namespace {

// What there is to report ----------------------------------------------------------------

class failure : public std::exception {
  public:
    explicit failure(std::string text) : text_(std::move(text)) {
    }
    const char *what() const noexcept override {
        return text_.c_str();
    }

  private:
    std::string text_;
};

void require(bool holds, const char *what, int line) {
    if (!holds) {
        throw failure("line " + std::to_string(line) + ": " + what);
    }
}
#define REQUIRE(condition) require((condition), #condition, __LINE__)

// Of numbers the bits are compared, so that NaN is NaN and 0 is not -0.
template <class Left, class Right> bool same(const Left &left, const Right &right) {
    return std::size(left) == std::size(right) &&
           std::memcmp(std::data(left), std::data(right),
                       std::size(left) * sizeof *std::data(left)) == 0;
}
bool same(double left, double right) {
    return std::memcmp(&left, &right, sizeof left) == 0;
}

int failed = 0;

void run(const char *name, const std::function<void()> &test) {
    std::printf("[ RUN      ] %s\n", name);
    try {
        test();
        std::printf("[       OK ] %s\n", name);
    } catch (const std::exception &error) {
        std::printf("%s\n[  FAILED  ] %s\n", error.what(), name);
        failed++;
    }
}

void ok(fghm_status returned) {
    if (returned != FGHM_OK) {
        throw failure(std::string("C: ") + fghm_status_string(returned));
    }
}

// Data -----------------------------------------------------------------------------------

template <class Real> std::vector<Real> numbers(std::size_t n, double scale, double shift) {
    std::vector<Real> values(n);
    std::uint32_t state = 12345;
    for (Real &value : values) {
        state = state * 1664525U + 1013904223U;
        value = static_cast<Real>(scale * (state >> 8) / (1 << 24) + shift);
    }
    return values;
}

// Enough for a pool to have several tasks.
constexpr std::size_t many = 100000;

template <class Real> struct data {
    std::vector<Real> logits = numbers<Real>(many, 12, -6);
    std::vector<Real> targets = numbers<Real>(many, 1, 0);
    std::vector<Real> weights = numbers<Real>(many, 3, -1);
    std::vector<std::int64_t> labels = make_labels();

    static std::vector<std::int64_t> make_labels() {
        std::vector<std::int64_t> labels(many / 4);
        for (std::size_t i = 0; i < labels.size(); i++) {
            labels[i] = i % 7 == 3 ? -100 : static_cast<std::int64_t>(i % 4);
        }
        return labels;
    }
};

// What a call has written: one side is C, the other C++.
template <class Real> struct written {
    explicit written(std::size_t losses = many)
        : element_loss(losses), gradient(many), hessian(many) {
    }

    double loss = 0;
    std::vector<Real> element_loss, gradient, hessian;

    void require_same_as(const written &other) const {
        REQUIRE(same(loss, other.loss));
        REQUIRE(same(element_loss, other.element_loss));
        REQUIRE(same(gradient, other.gradient));
        REQUIRE(same(hessian, other.hessian));
        REQUIRE(!same(gradient, std::vector<Real>(many)));
    }
};

template <class Real> arrays<Real> outputs_of(written<Real> &to, const std::vector<Real> *weights) {
    arrays<Real> all;
    if (weights != nullptr) {
        all.weights = *weights;
    }
    all.element_loss = to.element_loss;
    all.gradient = to.gradient;
    all.hessian = to.hessian;
    return all;
}

// The C functions of each type.
template <class Real> struct c;
template <> struct c<float> {
    static constexpr auto focal = fghm_focal_f32;
    static constexpr auto softmax = fghm_focal_softmax_f32;
    static constexpr auto calibrate = fghm_focal_calibrate_f32;
    static constexpr auto calibrate_softmax = fghm_focal_calibrate_softmax_f32;
    static constexpr auto step = fghm_ghm_step_f32;
    static constexpr auto count = fghm_ghm_count_f32;
    static constexpr auto apply = fghm_ghm_apply_f32;
    static constexpr auto density = fghm_ghm_density_f32;
};
template <> struct c<double> {
    static constexpr auto focal = fghm_focal_f64;
    static constexpr auto softmax = fghm_focal_softmax_f64;
    static constexpr auto calibrate = fghm_focal_calibrate_f64;
    static constexpr auto calibrate_softmax = fghm_focal_calibrate_softmax_f64;
    static constexpr auto step = fghm_ghm_step_f64;
    static constexpr auto count = fghm_ghm_count_f64;
    static constexpr auto apply = fghm_ghm_apply_f64;
    static constexpr auto density = fghm_ghm_density_f64;
};

// Types ----------------------------------------------------------------------------------

template <class Handle>
constexpr bool moves_only =
    std::is_nothrow_move_constructible_v<Handle> &&std::is_nothrow_move_assignable_v<Handle> &&
    !std::is_copy_constructible_v<Handle> && !std::is_copy_assignable_v<Handle> &&
    std::is_nothrow_destructible_v<Handle>;
static_assert(moves_only<focal> && moves_only<ghm> && moves_only<pool>, "");
static_assert(std::is_nothrow_copy_constructible_v<status_error>, "or throwing it may terminate");

// What must not compile: is_called<F, arguments> is whether F takes them.
template <class Logits, class Targets>
using compute_of = decltype(std::declval<const focal &>().compute(std::declval<Logits>(),
                                                                  std::declval<Targets>()));
template <class, class Logits, class Targets> struct computes : std::false_type {};
template <class Logits, class Targets>
struct computes<std::void_t<compute_of<Logits, Targets>>, Logits, Targets> : std::true_type {};
using floats = std::vector<float>;
using doubles = std::vector<double>;
static_assert(computes<void, const floats &, const floats &>::value, "");
static_assert(computes<void, view<float>, floats>::value, "");
static_assert(!computes<void, const floats &, const doubles &>::value, "two types");
static_assert(!computes<void, const std::vector<int> &, const std::vector<int> &>::value, "");

static_assert(std::is_constructible_v<view<float>, floats &>, "");
static_assert(!std::is_constructible_v<view<float>, const floats &>, "read-only");
static_assert(!std::is_constructible_v<view<float>, floats>, "temporary");
static_assert(!std::is_constructible_v<view<float>, doubles &>, "another type");
static_assert(std::is_constructible_v<output, floats &>, "");
static_assert(!std::is_constructible_v<output, const floats &>, "read-only");
static_assert(!std::is_constructible_v<output, input>, "read-only");
static_assert(std::is_constructible_v<input, output>, "");
static_assert(!std::is_constructible_v<input, floats>, "temporary");
static_assert(!std::is_constructible_v<input, std::vector<std::string> &>, "no dtype");
static_assert(!std::is_constructible_v<input, std::vector<unsigned> &>, "no dtype");
static_assert(!std::is_constructible_v<input, std::vector<short> &>, "no dtype");
static_assert(!std::is_assignable_v<decltype(arrays<float>::gradient) &, const floats &>, "");
static_assert(std::is_same_v<decltype(gradient_into(std::declval<floats &>())), arrays<float>>, "");
static_assert(dtype_of<long long>::value == dtype::i64 && dtype_of<int>::value == dtype::i32, "");
static_assert(!std::is_convertible_v<int, reduction>, "no number is a constant");
#ifdef __cpp_lib_span
static_assert(std::is_constructible_v<view<float>, std::span<float>>, "");
static_assert(!std::is_constructible_v<view<float>, std::span<const float>>, "");
static_assert(std::is_constructible_v<output, std::span<float>>, "");
#endif

// Settings -------------------------------------------------------------------------------

void settings_of_focal() {
    focal handle;
    fghm_focal *native = handle.native();
    double number = 0;
    std::int32_t constant = 0;
// Set here, read there; and what is read here is what is read there.
#define SETTING(name, value, read)                                                                 \
    REQUIRE(&handle.set_##name(value) == &handle);                                                 \
    ok(fghm_focal_get_##name(native, &read));                                                      \
    REQUIRE(read == static_cast<decltype(read)>(value) && handle.name() == value)
    SETTING(gamma, 1.25, number);
    SETTING(normalizer, 12.5, number);
    SETTING(loss_weight, 0.5, number);
    SETTING(hessian_floor, 0.125, number);
    SETTING(hessian_factor, 2.0, number);
    SETTING(beta, 3.5, number);
    SETTING(margin, 0.05, number);
    SETTING(detached, true, constant);
    SETTING(reduction, reduction::mean_positives, constant);
    SETTING(rule, focal_rule::split, constant);
    SETTING(hessian_mode, hessian_mode::gauss_newton, constant);
#undef SETTING
    std::int32_t set = 0;
    REQUIRE(!handle.negative_gamma());
    handle.set_negative_gamma(3.5);
    ok(fghm_focal_get_negative_gamma(native, &number, &set));
    REQUIRE(set == 1 && number == 3.5 && handle.negative_gamma() == 3.5);
    handle.clear_negative_gamma();
    ok(fghm_focal_get_negative_gamma(native, &number, &set));
    REQUIRE(set == 0 && !handle.negative_gamma());
    REQUIRE(!handle.positive_weight());
    handle.set_positive_weight(3.5);
    ok(fghm_focal_get_positive_weight(native, &number, &set));
    REQUIRE(set == 1 && number == 3.5 && handle.positive_weight() == 3.5);
    handle.clear_positive_weight();
    ok(fghm_focal_get_positive_weight(native, &number, &set));
    REQUIRE(set == 0 && !handle.positive_weight());
    REQUIRE(handle.alpha() == 0.25);
    handle.set_alpha(0.75);
    ok(fghm_focal_get_alpha(native, &number, &set));
    REQUIRE(set == 1 && number == 0.75 && handle.alpha() == 0.75);
    handle.clear_alpha();
    ok(fghm_focal_get_alpha(native, &number, &set));
    REQUIRE(set == 0 && !handle.alpha());

    focal copy = handle.clone();
    REQUIRE(copy.native() != native && copy.gamma() == 1.25);
    copy.set_gamma(4);
    REQUIRE(handle.gamma() == 1.25);
    focal moved = std::move(copy);
    REQUIRE(moved.gamma() == 4);
}

bool near(double one, double other) {
    return std::abs(one - other) < 1e-12;
}

constexpr double log_2 = 0.693147180559945309;

// The logit 0, where p is 1/2 and the cross-entropy of any target is log 2.
void require_at_zero(const focal &handle, double target, double loss, double gradient,
                     double hessian) {
    const doubles logits{0}, targets{target};
    doubles found_gradient(1), found_hessian(1);
    arrays<double> more = gradient_into(found_gradient);
    more.hessian = found_hessian;
    REQUIRE(near(handle.compute(logits, targets, more), loss));
    REQUIRE(near(found_gradient[0], gradient) && near(found_hessian[0], hessian));
}

void rules_of_focal() {
    focal handle;
    handle.clear_alpha().set_hessian_mode(focalghm::hessian_mode::gradient).set_beta(3);
    const auto require_rule = [&](focal_rule rule, double loss, double gradient) {
        require_at_zero(handle.set_rule(rule), 0.25, loss, gradient, gradient);
    };
    require_rule(focal_rule::varifocal, log_2 / 4, 0.0625);
    require_rule(focal_rule::varifocal_unweighted, log_2, 0.25);
    require_rule(focal_rule::matchability, log_2, 0.4375);
    require_rule(focal_rule::heatmap, 0.421875 * log_2 / 4, 0.421875 * (log_2 + 0.5) / 4);

    // gamma 2 and a factor that is no constant in derivatives; then one that is.
    handle.set_rule(focal_rule::linear).set_positive_weight(3).set_hessian_factor(2);
    const double gradient = -3 * (log_2 + 0.5) / 4;
    require_at_zero(handle, 1, 3 * log_2 / 4, gradient, -2 * gradient);
    require_at_zero(handle.set_detached(true), 1, 3 * log_2 / 4, -0.375, 0.75);
}

void settings_of_ghm() {
    ghm handle(ghm_kind::regression);
    REQUIRE(handle.kind() == ghm_kind::regression);
    REQUIRE(ghm(ghm_kind::classification).kind() == ghm_kind::classification);
    fghm_ghm *native = handle.native();
    double number = 0;
    std::int32_t constant = 0;
    std::size_t size = 0;
#define SETTING(name, value, read)                                                                 \
    REQUIRE(&handle.set_##name(value) == &handle);                                                 \
    ok(fghm_ghm_get_##name(native, &read));                                                        \
    REQUIRE(read == static_cast<decltype(read)>(value) && handle.name() == value)
    SETTING(bins, 12U, size);
    SETTING(histograms, 3U, size);
    SETTING(mu, 0.5, number);
    SETTING(momentum, 0.75, number);
    SETTING(weight_cap, 8.0, number);
    SETTING(loss_weight, 2.0, number);
    SETTING(normalizer, 7.0, number);
    SETTING(momentum_rule, momentum_rule::reference, constant);
    SETTING(divisor, bin_divisor::all_bins, constant);
    SETTING(reduction, reduction::normalizer, constant);
#undef SETTING
    REQUIRE(handle.counts_size() == 39 && handle.weights().size() == 36);
    const doubles edges{0, 0.25, 0.5, 1};
    handle.set_edges(edges);
    REQUIRE(handle.bins() == 3 && same(handle.edges(), edges));
    doubles read(4);
    ok(fghm_ghm_get_edges(native, read.size(), read.data()));
    REQUIRE(same(read, edges));
}

void constants_have_the_values_of_c() {
    REQUIRE(static_cast<int>(status::score) == FGHM_ERROR_SCORE);
    for (int i = 0; i >= FGHM_ERROR_SCORE; i--) {
        REQUIRE(sentence(status{i}) == fghm_status_string(i));
        REQUIRE(sentence(status{i}) != "unknown status");
    }
    REQUIRE(sentence(status{FGHM_ERROR_SCORE - 1}) == "unknown status");
    REQUIRE(name(field::negative_gamma) == "negative_gamma" && name(field::none).empty());
    REQUIRE(name(status::null_handle) == "null_handle" && name(place::sample) == "sample");
    REQUIRE(no_class_axis == FGHM_AXIS_NONE && ignore_none == FGHM_IGNORE_NONE);
}

void versions() {
    REQUIRE(version() == fghm_version());
    REQUIRE(version_number() == FGHM_VERSION);
    REQUIRE(numerics_revision() == fghm_numerics_revision());
    REQUIRE(isa_name() == fghm_isa_name() && !isa_name().empty());
}

// Plain calls ----------------------------------------------------------------------------

template <class Real> void focal_of_elements() {
    const data<Real> in;
    focal handle;
    handle.set_gamma(1.5).set_hessian_mode(hessian_mode::floored);
    written<Real> expected, found;
    ok(c<Real>::focal(handle.native(), nullptr, many, in.logits.data(), in.targets.data(),
                      in.weights.data(), &expected.loss, expected.element_loss.data(),
                      expected.gradient.data(), expected.hessian.data()));
    found.loss = handle.compute(in.logits, in.targets, outputs_of(found, &in.weights));
    found.require_same_as(expected);

    const pool threads(2);
    written<Real> pooled;
    pooled.loss = handle.compute(in.logits, in.targets, outputs_of(pooled, &in.weights), &threads);
    pooled.require_same_as(expected);

    ok(c<Real>::focal(handle.native(), nullptr, many, in.logits.data(), in.targets.data(), nullptr,
                      &expected.loss, nullptr, nullptr, nullptr));
    REQUIRE(same(handle.compute(in.logits, in.targets), expected.loss));
    REQUIRE(!same(pooled.loss, expected.loss)); // the weights are looked at
    const std::vector<Real> none;
    REQUIRE(same(handle.compute(none, none), 0.0));

    // In the place of an input.
    std::vector<Real> in_place = in.logits;
    arrays<Real> gradient = gradient_into(view<Real>(in_place));
    gradient.weights = in.weights;
    handle.compute(in_place, in.targets, gradient);
    REQUIRE(same(in_place, found.gradient));
}

template <class Real> void softmax_of_rows() {
    const data<Real> in;
    const std::vector<Real> weights(in.weights.begin(), in.weights.begin() + many / 4);
    focal handle;
    handle.set_gamma(0.5);
    written<Real> expected(many / 4), found(many / 4), pooled(many / 4);
    ok(c<Real>::softmax(handle.native(), nullptr, many / 4, 4, in.logits.data(), in.labels.data(),
                        -100, weights.data(), &expected.loss, expected.element_loss.data(),
                        expected.gradient.data(), expected.hessian.data()));
    found.loss = handle.softmax(4, in.logits, in.labels, outputs_of(found, &weights), -100);
    found.require_same_as(expected);
    const pool threads(2);
    pooled.loss =
        handle.softmax(4, in.logits, in.labels, outputs_of(pooled, &weights), -100, &threads);
    pooled.require_same_as(expected);
}

template <class Real> void calibration() {
    const data<Real> in;
    focal handle;
    handle.set_gamma(3);
    std::vector<Real> expected(many), found(many), pooled(many);
    ok(c<Real>::calibrate(handle.native(), nullptr, many, in.logits.data(), expected.data()));
    handle.calibrate(in.logits, found);
    REQUIRE(same(found, expected) && !same(found, std::vector<Real>(many)));
    const pool threads(2);
    handle.calibrate(in.logits, pooled, &threads);
    REQUIRE(same(pooled, expected));
    double constant = 0;
    ok(fghm_focal_best_constant(handle.native(), 3, 40, &constant));
    REQUIRE(same(handle.best_constant(3, 40), constant));

    const std::vector<double> gamma{0, 1, 2, 3}, weights{1, 2, 4, 0.5}, frequencies{1, 5, 9, 2};
    class_numbers numbers;
    numbers.gamma = gamma;
    numbers.weights = weights;
    ok(c<Real>::calibrate_softmax(handle.native(), nullptr, many / 4, 4, in.logits.data(),
                                  gamma.data(), weights.data(), expected.data()));
    handle.calibrate_softmax(4, in.logits, found, numbers);
    handle.calibrate_softmax(4, in.logits, pooled, numbers, &threads);
    REQUIRE(same(found, expected) && same(pooled, expected) && found[0] > 0);
    std::vector<double> constants(4);
    ok(fghm_focal_best_constant_softmax(handle.native(), 4, frequencies.data(), gamma.data(),
                                        weights.data(), constants.data()));
    REQUIRE(same(handle.best_constant_softmax(frequencies, numbers), constants));
    handle.calibrate_softmax(4, in.logits, found);
    REQUIRE(!same(found, expected));
}

template <class Real> void ghm_of_elements(ghm_kind kind) {
    const data<Real> in;
    ghm handle(kind);
    handle.set_momentum(0.5).set_bins(20);
    ghm other = handle.clone();
    written<Real> expected, found, pooled;
    const pool threads(2);
    for (int step = 0; step < 2; step++) {
        ok(c<Real>::step(other.native(), nullptr, many, in.logits.data(), in.targets.data(),
                         in.weights.data(), &expected.loss, expected.element_loss.data(),
                         expected.gradient.data(), expected.hessian.data()));
        found.loss = handle.step(in.logits, in.targets, outputs_of(found, &in.weights),
                                 step == 1 ? &threads : nullptr);
        found.require_same_as(expected);
    }
    REQUIRE(handle.steps() == 2 && same(handle.counts(), other.counts()));

    // The three parts of a step.
    std::vector<std::uint64_t> counts(handle.counts_size()), expected_counts(counts.size());
    handle.count(in.logits, in.targets, counts, in.weights);
    handle.count(in.logits, in.targets, counts, std::nullopt, &threads);
    ok(c<Real>::count(other.native(), nullptr, many, in.logits.data(), in.targets.data(),
                      in.weights.data(), counts.size(), expected_counts.data()));
    ok(c<Real>::count(other.native(), nullptr, many, in.logits.data(), in.targets.data(), nullptr,
                      counts.size(), expected_counts.data()));
    REQUIRE(same(counts, expected_counts));
    REQUIRE(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) > many);
    handle.update(counts);
    ok(fghm_ghm_update(other.native(), counts.size(), counts.data()));
    ok(c<Real>::apply(other.native(), nullptr, many, in.logits.data(), in.targets.data(),
                      in.weights.data(), &expected.loss, expected.element_loss.data(),
                      expected.gradient.data(), expected.hessian.data()));
    found.loss = std::as_const(handle).apply(in.logits, in.targets, outputs_of(found, &in.weights));
    found.require_same_as(expected);
    pooled.loss = handle.apply(in.logits, in.targets, outputs_of(pooled, &in.weights), &threads);
    pooled.require_same_as(expected);
}

template <class Real> void density_of_elements() {
    const data<Real> in;
    const ghm handle(ghm_kind::classification);
    std::vector<Real> expected(many), found(many), pooled(many);
    ok(c<Real>::density(handle.native(), nullptr, many, in.logits.data(), in.targets.data(),
                        in.weights.data(), expected.data()));
    handle.density(in.logits, in.targets, found, in.weights);
    REQUIRE(same(found, expected) && !same(found, std::vector<Real>(many)));
    const pool threads(2);
    handle.density(in.logits, in.targets, pooled, in.weights, &threads);
    REQUIRE(same(pooled, expected));
    ok(c<Real>::density(handle.native(), nullptr, many, in.logits.data(), in.targets.data(),
                        nullptr, expected.data()));
    handle.density(in.logits, in.targets, found);
    REQUIRE(same(found, expected) && !same(found, pooled));
}

void history_and_state() {
    const data<float> in;
    ghm handle(ghm_kind::classification);
    handle.set_momentum(0.9).set_bins(5);
    REQUIRE(handle.steps() == 0);
    handle.step(in.logits, in.targets);
    const fghm_ghm *native = handle.native();
    std::vector<std::uint64_t> counts(6);
    doubles averages(5), weights(5);
    std::vector<std::size_t> nonempty(1);
    ok(fghm_ghm_get_counts(native, counts.size(), counts.data()));
    ok(fghm_ghm_get_averages(native, averages.size(), averages.data()));
    ok(fghm_ghm_get_weights(native, weights.size(), weights.data()));
    ok(fghm_ghm_get_nonempty(native, nonempty.size(), nonempty.data()));
    REQUIRE(same(handle.counts(), counts) && same(handle.averages(), averages));
    REQUIRE(same(handle.weights(), weights) && same(handle.nonempty(), nonempty));
    REQUIRE(weights[0] > 0 && !same(weights, averages));

    const std::vector<std::uint8_t> state = handle.save();
    std::vector<std::uint8_t> expected(state.size());
    ok(fghm_ghm_save(native, expected.size(), expected.data()));
    REQUIRE(same(state, expected));
    ghm resumed = ghm::from_state(state), loaded(ghm_kind::classification);
    loaded.load(state);
    const double loss = handle.step(in.logits, in.targets);
    REQUIRE(same(resumed.step(in.logits, in.targets), loss));
    REQUIRE(same(loaded.step(in.logits, in.targets), loss));
    handle.reset();
    REQUIRE(handle.steps() == 0 && handle.momentum() == 0.9);
}

// Batches --------------------------------------------------------------------------------

// The result without its head.
void require_same(const result &found, const fghm_result &expected) {
    REQUIRE(same(found.loss, expected.loss) && same(found.sum, expected.sum));
    REQUIRE(same(found.divisor, expected.divisor));
    REQUIRE(same(found.sum_weights, expected.sum_weights));
    REQUIRE(same(found.sum_targets, expected.sum_targets));
    REQUIRE(found.elements == expected.elements && found.valid == expected.valid);
    REQUIRE(found.positives == expected.positives);
}

// A crop of images N,C,H,W in half precision, backwards along an axis; labels in bytes.
struct images {
    static constexpr std::int64_t n = 2, classes = 3, height = 4, width = 5, all_width = 8;

    std::vector<float16> logits;
    std::vector<std::uint8_t> labels;
    floats weights;
    floats gradient, element_loss;
    doubles hessian;

    images()
        : logits(n * classes * height * all_width), labels(n * height * width), weights(n),
          gradient(n * classes * height * width), element_loss(n * height * width),
          hessian(2 * gradient.size()) {
        for (std::size_t i = 0; i < logits.size(); i++) {
            logits[i].bits = static_cast<std::uint16_t>(0x3800 + 37 * i); // 0.5 and more
        }
        for (std::size_t i = 0; i < labels.size(); i++) {
            labels[i] = i % 5 == 0 ? 255 : static_cast<std::uint8_t>(i % 3);
        }
        weights = {0.5F, 2};
    }

    static constexpr std::int64_t row = all_width, plane = height * all_width,
                                  image = classes * plane;

    batch described() {
        batch all({n, classes, height, width}, 1);
        all.activation(activation::softmax).target_form(target_form::label);
        all.ignore_index(255)
            .logits(strided(logits, {image, plane, row, -1}, width))
            .targets(labels);
        all.weights(strided(weights, {1, 0, 0, 0}));
        all.gradient(gradient).element_loss(element_loss);
        all.hessian(
            strided(hessian, {2 * classes * height * width, 2 * height * width, 2 * width, 2}));
        return all;
    }

    fghm_batch c_described() {
        fghm_batch all = FGHM_BATCH_INIT;
        all.ndim = 4;
        const std::int64_t shape[] = {n, classes, height, width};
        const std::int64_t strides[] = {image, plane, row, -1};
        const std::int64_t pairs[] = {2 * classes * height * width, 2 * height * width, 2 * width,
                                      2};
        std::copy(std::begin(shape), std::end(shape), all.shape);
        all.class_axis = 1;
        all.activation = FGHM_SOFTMAX;
        all.target_form = FGHM_TARGET_LABEL;
        all.ignore_index = 255;
        all.logits.data = logits.data() + width;
        all.logits.dtype = FGHM_F16;
        all.logits.layout = FGHM_LAYOUT_STRIDED;
        std::copy(std::begin(strides), std::end(strides), all.logits.strides);
        all.targets.data = labels.data();
        all.targets.dtype = FGHM_U8;
        all.weights.data = weights.data();
        all.weights.dtype = FGHM_F32;
        all.weights.layout = FGHM_LAYOUT_STRIDED;
        all.weights.strides[0] = 1;
        all.gradient.data = gradient.data();
        all.gradient.dtype = FGHM_F32;
        all.element_loss.data = element_loss.data();
        all.element_loss.dtype = FGHM_F32;
        all.hessian.data = hessian.data();
        all.hessian.dtype = FGHM_F64;
        all.hessian.layout = FGHM_LAYOUT_STRIDED;
        std::copy(std::begin(pairs), std::end(pairs), all.hessian.strides);
        return all;
    }
};

void batch_of_images() {
    images here, there;
    const fghm_batch described = there.c_described();
    const batch all = here.described();
    focal handle;
    handle.set_gamma(1.5);
    fghm_result expected = FGHM_RESULT_INIT;
    ok(fghm_focal_batch(handle.native(), nullptr, &described, &expected));
    require_same(handle.compute(all), expected);
    REQUIRE(same(here.gradient, there.gradient) && same(here.hessian, there.hessian));
    REQUIRE(same(here.element_loss, there.element_loss) && expected.valid == 32);
    const batch copy = all;
    const pool threads(2);
    require_same(handle.compute(copy, &threads), expected);

    // The same with GHM, as a step and in its parts.
    ghm harmonized(ghm_kind::classification), other = harmonized.clone();
    ok(fghm_ghm_step_batch(other.native(), nullptr, &described, &expected));
    require_same(harmonized.step(all), expected);
    REQUIRE(same(here.gradient, there.gradient));
    std::vector<std::uint64_t> counts(harmonized.counts_size());
    require_same(harmonized.count(all, counts, &threads), [&] {
        fghm_result result = FGHM_RESULT_INIT;
        std::vector<std::uint64_t> expected_counts(counts.size());
        ok(fghm_ghm_count_batch(other.native(), nullptr, &described, counts.size(),
                                expected_counts.data(), &result));
        return result;
    }());
    REQUIRE(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) == 32);
    harmonized.update(counts);
    ok(fghm_ghm_update(other.native(), counts.size(), counts.data()));
    ok(fghm_ghm_apply_batch(other.native(), nullptr, &described, &expected));
    require_same(harmonized.apply(all, &threads), expected);
    REQUIRE(same(here.gradient, there.gradient));
}

// Every field of the descriptor gets where it belongs.
void batch_fields() {
    const floats logits(12), scores(4), weights(4);
    const std::vector<int> labels(4);
    std::vector<bfloat16> element_loss(12);
    doubles gradient(12), hessian(12), harmonizing(12);
    const doubles factors{0.25, 0.5, 1}, gammas{1, 2, 3}, weighting{1, 2, 4}, offsets{5, 6, 7};
    batch all({4, 3}, -1);
    all.activation(activation::probability).target_form(target_form::label_score);
    all.background(background::last).nan_targets_ignored().ignore_index(-7).label_smoothing(0.125);
    all.class_alpha(factors).class_gamma(gammas).class_weights(weighting).class_offsets(offsets);
    all.logits(logits).targets(labels).scores(scores).weights(per_sample(weights));
    all.element_loss(element_loss).gradient(strided(gradient, {-3, -1}, 11));
    all.hessian(hessian).harmonizing_weight(harmonizing);
    const fghm_batch &c_batch = all.native();
    REQUIRE(c_batch.size == sizeof(fghm_batch) && c_batch.tag == FGHM_TAG && c_batch.ndim == 2);
    REQUIRE(c_batch.shape[0] == 4 && c_batch.shape[1] == 3 && c_batch.shape[2] == FGHM_UNSET);
    REQUIRE(c_batch.class_axis == -1 && c_batch.activation == FGHM_PROBABILITY);
    REQUIRE(c_batch.target_form == FGHM_TARGET_LABEL_SCORE);
    REQUIRE(c_batch.background == FGHM_BACKGROUND_LAST);
    REQUIRE(c_batch.flags == FGHM_NAN_TARGETS_IGNORED && c_batch.ignore_index == -7);
    REQUIRE(same(c_batch.label_smoothing, 0.125));
    REQUIRE(c_batch.class_alpha == factors.data() && c_batch.class_gamma == gammas.data());
    REQUIRE(c_batch.class_weights == weighting.data() && c_batch.class_offsets == offsets.data());
    REQUIRE(c_batch.logits.data == logits.data() && c_batch.logits.dtype == FGHM_F32);
    REQUIRE(c_batch.targets.data == labels.data() && c_batch.targets.dtype == FGHM_I32);
    REQUIRE(c_batch.scores.data == scores.data() && c_batch.weights.data == weights.data());
    REQUIRE(c_batch.weights.layout == FGHM_LAYOUT_PER_SAMPLE);
    REQUIRE(c_batch.element_loss.data == element_loss.data());
    REQUIRE(c_batch.element_loss.dtype == FGHM_BF16);
    REQUIRE(c_batch.gradient.data == &gradient[11] && c_batch.gradient.dtype == FGHM_F64);
    REQUIRE(c_batch.gradient.layout == FGHM_LAYOUT_STRIDED);
    REQUIRE(c_batch.gradient.strides[0] == -3 && c_batch.gradient.strides[1] == -1);
    REQUIRE(c_batch.hessian.data == hessian.data());
    REQUIRE(c_batch.harmonizing_weight.data == harmonizing.data());
    // One flag leaves the other as it is.
    REQUIRE(all.class_weights_of_terms().native().flags ==
            (FGHM_NAN_TARGETS_IGNORED | FGHM_CLASS_WEIGHTS_OF_TERMS));
    REQUIRE(all.nan_targets_ignored(false).native().flags == FGHM_CLASS_WEIGHTS_OF_TERMS);
    REQUIRE(all.class_weights_of_terms(false).native().flags == 0);
}

void gamma_of_classes() {
    const doubles logits(3), targets(3, 1.0), gammas{0, 1, 2};
    doubles losses(3);
    const batch all =
        batch({3}, 0).logits(logits).targets(targets).class_gamma(gammas).element_loss(losses);
    focal().clear_alpha().compute(all);
    REQUIRE(near(losses[0], log_2) && near(losses[1], log_2 / 2) && near(losses[2], log_2 / 4));
}

// As many logits as there are offsets, alike: those of the offsets have the same bits.
void offsets_of_classes() {
    const doubles zeros(3), offsets{-1, 0.5, 2};
    const std::vector<int> labels{1};
    batch all({1, 3}, 1);
    all.activation(activation::softmax).target_form(target_form::label).targets(labels);
    const focal handle;
    const double expected = handle.compute(batch(all).logits(offsets)).loss;
    REQUIRE(same(handle.compute(all.logits(zeros).class_offsets(offsets)).loss, expected));
}

// All probabilities are 1/3, and the smoothed targets 0.8, 0.1 and 0.1.
void weights_of_terms() {
    const doubles zeros(3), weighting{1, 2, 4};
    const std::vector<int> labels{0};
    batch all({1, 3}, 1);
    all.activation(activation::softmax).target_form(target_form::label).targets(labels);
    all.logits(zeros).class_weights(weighting).label_smoothing(0.3);
    focal handle;
    handle.set_gamma(0);
    REQUIRE(near(handle.compute(all).loss, std::log(3.0)));
    REQUIRE(near(handle.compute(all.class_weights_of_terms()).loss, 1.4 * std::log(3.0)));

    // The same targets as they are, whose factors are those of terms in any case.
    const doubles smoothed{0.8, 0.1, 0.1};
    batch dense({1, 3}, 1);
    dense.activation(activation::softmax).logits(zeros).targets(smoothed).class_weights(weighting);
    REQUIRE(near(handle.compute(dense).loss, 1.4 * std::log(3.0)));
}

// Errors ---------------------------------------------------------------------------------

// What a call throws.
template <class Call> status_error thrown(Call call) {
    try {
        call();
    } catch (const status_error &error) {
        return error;
    }
    throw failure("nothing was thrown");
}

template <class Call> void require_thrown(status expected, field where, Call call) {
    const status_error error = thrown(call);
    if (error.status() != expected || error.field() != where) {
        throw failure(std::string("thrown: ") + error.what());
    }
    REQUIRE(std::string_view(error.what()).find(sentence(expected)) != std::string_view::npos);
    REQUIRE(std::string_view(error.what()).find(name(where)) == 0);
}

template <class Call> void require_shape_error(field where, Call call) {
    try {
        call();
    } catch (const shape_error &error) {
        REQUIRE(error.field() == where);
        return;
    }
    throw failure("no shape_error of " + std::string(name(where)));
}

void errors_of_setters() {
    focal handle;
    ghm harmonized(ghm_kind::classification), regression(ghm_kind::regression);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    using number_setter = focal &(focal::*)(double);
    const std::pair<number_setter, field> setters[] = {
        {&focal::set_gamma, field::gamma},
        {&focal::set_negative_gamma, field::negative_gamma},
        {&focal::set_alpha, field::alpha},
        {&focal::set_normalizer, field::normalizer},
        {&focal::set_loss_weight, field::loss_weight},
        {&focal::set_hessian_floor, field::hessian_floor},
        {&focal::set_hessian_factor, field::hessian_factor},
        {&focal::set_beta, field::beta},
        {&focal::set_margin, field::margin},
        {&focal::set_positive_weight, field::positive_weight}};
    for (const auto &setter : setters) {
        require_thrown(status::range, setter.second, [&] { (handle.*setter.first)(nan); });
    }
    using ghm_setter = ghm &(ghm::*)(double);
    const std::pair<ghm_setter, field> ghm_setters[] = {{&ghm::set_mu, field::mu},
                                                        {&ghm::set_momentum, field::momentum},
                                                        {&ghm::set_weight_cap, field::weight_cap},
                                                        {&ghm::set_loss_weight, field::loss_weight},
                                                        {&ghm::set_normalizer, field::normalizer}};
    for (const auto &setter : ghm_setters) {
        require_thrown(status::range, setter.second, [&] { (regression.*setter.first)(nan); });
    }
    require_thrown(status::range, field::bins, [&] { harmonized.set_bins(0); });
    require_thrown(status::range, field::histograms, [&] { harmonized.set_histograms(0); });
    require_thrown(status::constant, field::reduction,
                   [&] { handle.set_reduction(reduction{77}); });
    require_thrown(status::constant, field::rule, [&] { handle.set_rule(focal_rule{77}); });
    require_thrown(status::constant, field::hessian_mode,
                   [&] { handle.set_hessian_mode(hessian_mode{77}); });
    require_thrown(status::constant, field::reduction,
                   [&] { harmonized.set_reduction(reduction::mean_samples); });
    require_thrown(status::constant, field::momentum_rule,
                   [&] { harmonized.set_momentum_rule(momentum_rule{77}); });
    require_thrown(status::constant, field::bin_divisor,
                   [&] { harmonized.set_divisor(bin_divisor{77}); });
    require_thrown(status::constant, field::kind, [] { ghm none(ghm_kind{}); });
    require_thrown(status::kind, field::mu, [&] { harmonized.set_mu(1); });
    require_thrown(status::kind, field::none, [&] { harmonized.mu(); });
    require_thrown(status::edges, field::edges, [&] {
        harmonized.set_edges(doubles{0, 0.5, 0.25, 1});
    });
    harmonized.update(std::vector<std::uint64_t>(11, 1));
    require_thrown(status::history, field::bins, [&] { harmonized.set_bins(7); });
    require_thrown(status::capacity, field::counts,
                   [&] { harmonized.update(std::vector<std::uint64_t>(3)); });
    require_thrown(status::counts, field::counts, [&] {
        harmonized.update(std::vector<std::uint64_t>(11, ~std::uint64_t{0} / 2));
    });
    REQUIRE(harmonized.steps() == 1);
    std::vector<std::uint8_t> state = harmonized.save();
    require_thrown(status::kind, field::none, [&] { regression.load(state); });
    state.pop_back();
    require_thrown(status::state, field::none, [&] { harmonized.load(state); });
    require_thrown(status::state, field::none, [&] { ghm::from_state(state); });
}

void errors_of_plain_calls() {
    const floats logits(8), targets(8, 2), good(8);
    floats gradient(8);
    const std::vector<std::int64_t> labels{0, 9};
    focal handle;
    ghm harmonized(ghm_kind::classification), regression(ghm_kind::regression);
    arrays<float> more;
    more.gradient = gradient;
    const status_error error = thrown([&] { handle.compute(logits, targets, more); });
    REQUIRE(error.status() == status::target && error.is_of_elements());
    REQUIRE(std::isnan(gradient[0]));
    require_thrown(status::target, field::none, [&] { harmonized.step(logits, targets); });
    require_thrown(status::label, field::none, [&] { handle.softmax(4, logits, labels); });
    require_thrown(status::range, field::none,
                   [&] { handle.softmax(0, floats(), std::vector<std::int64_t>()); });
    require_thrown(status::kind, field::none, [&] { regression.density(logits, good, gradient); });
    require_thrown(status::range, field::none, [&] { handle.best_constant(0, 1); });
    floats overlapping(9);
    more.gradient = view<float>(&overlapping[1], 8);
    require_thrown(status::aliasing, field::none,
                   [&] { handle.compute(view<float>(overlapping.data(), 8), good, more); });
    std::vector<std::uint64_t> counts(3);
    require_thrown(status::capacity, field::none, [&] { harmonized.count(logits, good, counts); });
    harmonized.set_histograms(2);
    require_thrown(status::histograms, field::none, [&] { harmonized.step(logits, good); });
    handle.set_rule(focal_rule::star).set_gamma(0);
    require_thrown(status::combination, field::none, [&] { handle.compute(logits, good); });
}

void lengths_of_plain_calls() {
    const floats eight(8), seven(7);
    floats seven_out(7), eight_out(8);
    const focal handle;
    ghm harmonized(ghm_kind::classification);
    std::vector<std::uint64_t> counts(11);
    const std::vector<std::int64_t> labels(2);
    require_shape_error(field::targets, [&] { handle.compute(eight, seven); });
    require_shape_error(field::targets, [&] { harmonized.step(eight, seven); });
    require_shape_error(field::targets, [&] { harmonized.apply(eight, seven); });
    require_shape_error(field::targets, [&] { harmonized.count(eight, seven, counts); });
    require_shape_error(field::weights, [&] { harmonized.count(eight, eight, counts, seven); });
    require_shape_error(field::targets, [&] { harmonized.density(eight, seven, eight_out); });
    require_shape_error(field::weights,
                        [&] { harmonized.density(eight, eight, eight_out, seven); });
    require_shape_error(field::harmonizing_weight,
                        [&] { harmonized.density(eight, eight, seven_out); });
    require_shape_error(field::none, [&] { handle.calibrate(eight, seven_out); });
    require_shape_error(field::none, [&] { handle.calibrate_softmax(4, eight, seven_out); });
    require_shape_error(field::logits, [&] { handle.calibrate_softmax(3, eight, eight_out); });
    const std::vector<double> three(3, 1.0);
    class_numbers numbers;
    numbers.gamma = three;
    require_shape_error(field::class_gamma,
                        [&] { handle.calibrate_softmax(4, eight, eight_out, numbers); });
    numbers = {};
    numbers.weights = three;
    require_shape_error(field::class_weights, [&] {
        handle.best_constant_softmax(std::vector<double>(4, 1.0), numbers);
    });
    require_shape_error(field::logits, [&] { handle.softmax(4, seven, labels); });
    require_shape_error(field::logits, [&] { handle.softmax(2, eight, labels); });
    const auto with = [&](auto member) {
        arrays<float> more;
        more.*member = seven_out;
        return more;
    };
    const std::pair<arrays<float>, field> wrong[] = {
        {with(&arrays<float>::weights), field::weights},
        {with(&arrays<float>::element_loss), field::element_loss},
        {with(&arrays<float>::gradient), field::gradient},
        {with(&arrays<float>::hessian), field::hessian}};
    for (const auto &one : wrong) {
        require_shape_error(one.second, [&] { handle.compute(eight, eight, one.first); });
        require_shape_error(one.second, [&] { harmonized.step(eight, eight, one.first); });
        require_shape_error(one.second, [&] { harmonized.apply(eight, eight, one.first); });
        require_shape_error(one.second, [&] { handle.softmax(4, eight, labels, one.first); });
    }
    REQUIRE(same(seven_out, floats(7)) && harmonized.steps() == 0);
}

void errors_of_batches() {
    const floats logits(6), high(6, 1.5F), scores(2, -1);
    const std::vector<int> labels{0, 3};
    floats gradient(6);
    focal handle;
    const auto dense = [&] { return batch({2, 3}, 1).logits(logits).targets(logits); };

    status_error error = thrown([&] { handle.compute(dense().targets(high).gradient(gradient)); });
    REQUIRE(error.status() == status::target && error.field() == field::targets);
    REQUIRE(error.place() == place::element && error.offender() == 0 && error.is_of_elements());
    REQUIRE(error.result().elements == 6 && same(error.result().sum, 0.0));
    REQUIRE(std::string(error.what()) == "targets: a target is out of its range, element 0");
    REQUIRE(std::isnan(gradient[0]));
    error =
        thrown([&] { handle.compute(dense().activation(activation::probability).logits(high)); });
    REQUIRE(error.status() == status::probability && error.field() == field::logits);
    error = thrown([&] {
        const std::vector<int> good(2);
        handle.compute(dense().target_form(target_form::label_score).targets(good).scores(scores));
    });
    REQUIRE(error.status() == status::score && error.place() == place::sample);
    error =
        thrown([&] { handle.compute(dense().target_form(target_form::label).targets(labels)); });
    REQUIRE(error.status() == status::label && error.field() == field::targets);
    REQUIRE(error.place() == place::sample && error.offender() == 1 && !error.is_of_elements());
    const doubles factors{1, 2, 0.5};
    error = thrown([&] { handle.compute(dense().class_alpha(factors)); });
    REQUIRE(error.status() == status::range && error.field() == field::class_alpha);
    REQUIRE(error.place() == place::class_index && error.offender() == 1);
    error = thrown([&] { handle.compute(batch({2, -1}, 1).logits(logits).targets(logits)); });
    REQUIRE(error.status() == status::range && error.field() == field::shape);
    REQUIRE(error.place() == place::axis && error.offender() == 1);
    error = thrown([&] {
        handle.compute(batch({6}).logits(logits).targets(logits).activation(activation::softmax));
    });
    REQUIRE(error.status() == status::combination && error.field() == field::activation);
    REQUIRE(error.other_field() == field::class_axis);
    REQUIRE(std::string_view(error.what()).find("activation, class_axis: ") == 0);
    error = thrown([&] { handle.compute(dense().gradient(gradient).hessian(gradient)); });
    REQUIRE(error.status() == status::aliasing && error.field() == field::hessian);
    REQUIRE(error.other_field() == field::gradient);

    require_thrown(status::unset, field::shape, [&] {
        handle.compute(batch({2, FGHM_UNSET}).logits(logits).targets(logits));
    });
    require_thrown(status::unset, field::ndim, [&] { handle.compute(batch({})); });
    require_thrown(status::range, field::ndim, [&] {
        handle.compute(batch({1, 1, 1, 1, 1, 1, 1, 1, 6}));
    });
    require_thrown(status::range, field::class_axis,
                   [&] { handle.compute(batch({6}, 1).logits(logits).targets(logits)); });
    require_thrown(status::null_pointer, field::targets,
                   [&] { handle.compute(batch({6}).logits(logits)); });
    require_thrown(status::range, field::label_smoothing,
                   [&] { handle.compute(dense().label_smoothing(2)); });
    require_thrown(status::dtype, field::logits, [&] {
        const std::vector<int> six(6);
        handle.compute(dense().logits(six));
    });
    require_thrown(status::layout, field::gradient, [&] {
        floats two(2);
        handle.compute(dense().gradient(per_sample(two)));
    });
    require_thrown(status::stride, field::gradient, [&] {
        handle.compute(dense().gradient(strided(gradient, {0, 1})));
    });
    require_thrown(status::stride, field::targets, [&] {
        const std::vector<int> six(6);
        handle.compute(dense().target_form(target_form::label).targets(strided(six, {3, 1})));
    });
    require_thrown(status::size, field::shape, [&] {
        const std::int64_t large = std::int64_t{1} << 40;
        handle.compute(
            batch({large, large}).logits(strided(logits, {0, 0})).targets(strided(logits, {0, 0})));
    });
    const status_error divisor = thrown([&] {
        handle.clone().set_reduction(reduction::mean_weights).compute(dense().weights(logits));
    });
    REQUIRE(divisor.status() == status::divisor);
    ghm harmonized(ghm_kind::classification);
    harmonized.set_histograms(2);
    require_thrown(status::histograms, thrown([&] { harmonized.step(dense()); }).field(),
                   [&] { harmonized.step(dense()); });
    std::vector<std::uint64_t> counts(3);
    harmonized.set_histograms(3);
    require_thrown(status::capacity, field::capacity, [&] { harmonized.count(dense(), counts); });
}

void lengths_of_batches() {
    const floats six(6), five(5);
    floats five_out(5), six_out(6), twelve_out(12);
    const std::vector<int> two(2), three(3);
    const doubles pair(2);
    const focal handle;
    const auto dense = [&] { return batch({2, 3}, 1).logits(six).targets(six); };
    const auto labelled = [&] {
        return batch({2, 3}, 1).logits(six).targets(two).target_form(target_form::label);
    };
    require_shape_error(field::logits, [&] { handle.compute(dense().logits(five)); });
    require_shape_error(field::targets, [&] { handle.compute(dense().targets(five)); });
    require_shape_error(field::targets, [&] { handle.compute(labelled().targets(three)); });
    require_shape_error(field::scores, [&] { handle.compute(labelled().scores(five)); });
    require_shape_error(field::weights, [&] { handle.compute(dense().weights(five)); });
    require_shape_error(field::weights, [&] { handle.compute(dense().weights(per_sample(six))); });
    require_shape_error(field::weights, [&] {
        handle.compute(labelled().activation(activation::softmax).weights(six));
    });
    require_shape_error(field::element_loss,
                        [&] { handle.compute(dense().element_loss(five_out)); });
    require_shape_error(field::gradient, [&] { handle.compute(dense().gradient(five_out)); });
    require_shape_error(field::hessian, [&] { handle.compute(dense().hessian(five_out)); });
    require_shape_error(field::harmonizing_weight,
                        [&] { handle.compute(dense().harmonizing_weight(five_out)); });
    require_shape_error(field::class_alpha, [&] { handle.compute(dense().class_alpha(pair)); });
    require_shape_error(field::class_gamma, [&] { handle.compute(dense().class_gamma(pair)); });
    require_shape_error(field::class_weights, [&] { handle.compute(dense().class_weights(pair)); });
    require_shape_error(field::class_offsets, [&] { handle.compute(dense().class_offsets(pair)); });

    // Strides: too few and meeting each other, for C to refuse; too far ahead, too far back, from
    // outside; and just not.
    const auto gradient = [&](auto &numbers, std::initializer_list<std::int64_t> strides,
                              std::size_t first) {
        return handle.compute(dense().gradient(strided(numbers, strides, first)));
    };
    require_thrown(status::stride, field::gradient, [&] { gradient(six_out, {3}, 0); });
    require_thrown(status::stride, field::gradient, [&] { gradient(six_out, {3, 2}, 0); });
    require_shape_error(field::gradient, [&] { gradient(six_out, {3, 1}, 1); });
    require_shape_error(field::gradient, [&] { gradient(six_out, {-3, 1}, 0); });
    require_shape_error(field::gradient, [&] { gradient(six_out, {-3, -1}, 4); });
    require_shape_error(field::gradient, [&] { gradient(six_out, {3, 1}, 6); });
    require_shape_error(field::gradient, [&] { gradient(six_out, {3, 1}, 7); });
    require_thrown(status::stride, field::gradient, [&] { gradient(six_out, {INT64_MIN, 1}, 0); });
    require_thrown(status::stride, field::gradient, [&] {
        gradient(six_out, {INT64_MAX, INT64_MAX}, 0);
    });
    REQUIRE(same(six_out, floats(6)));
    gradient(six_out, {3, 1}, 0);
    const floats expected = six_out;
    gradient(six_out, {-3, -1}, 5);
    gradient(twelve_out, {6, 2}, 1);
    REQUIRE(same(expected, floats{six_out.rbegin(), six_out.rend()}));
    REQUIRE(twelve_out[11] == expected[5] && twelve_out[0] == 0 && expected[5] != 0);

    // An empty batch has no numbers.
    const floats none;
    REQUIRE(handle.compute(batch({0, 3}, 1).logits(none).targets(none)).elements == 0);
    REQUIRE(handle.compute(batch({0, 3}, 1).logits(strided(none, {3, 1})).targets(none)).elements ==
            0);
}

void handles_that_were_moved_from() {
    const floats four(4);
    focal handle;
    const focal other = std::move(handle);
    REQUIRE(handle.native() == nullptr); // NOLINT: what is left is what is tested
    require_thrown(status::null_handle, field::gamma, [&] { handle.set_gamma(1); });
    require_thrown(status::null_handle, field::none, [&] { handle.gamma(); });
    require_thrown(status::null_handle, field::none, [&] { handle.compute(four, four); });
    require_thrown(status::null_handle, field::none, [&] { handle.clone(); });
    require_thrown(status::null_handle, field::none,
                   [&] { handle.compute(batch({4}).logits(four).targets(four)); });
    ghm harmonized(ghm_kind::classification);
    const ghm another = std::move(harmonized);
    require_thrown(status::null_handle, field::none, [&] { harmonized.step(four, four); });
    require_thrown(status::null_handle, field::none, [&] { harmonized.save(); });
    pool threads(1);
    const pool moved = std::move(threads);
    require_thrown(status::null_handle, field::none, [&] { threads.threads(); });
    // A call without a pool is right, too.
    REQUIRE(same(other.compute(four, four, {}, &threads), other.compute(four, four, {}, &moved)));
}

// Pools ----------------------------------------------------------------------------------

void pools() {
    REQUIRE(pool(3).threads() == 3 && pool().threads() >= 1);
    require_thrown(status::range, field::none, [] { pool many_threads(FGHM_THREADS_MAX + 1); });
    require_thrown(status::range, field::none,
                   [] { pool none(0, [](std::size_t, const task &) {}); });
    require_thrown(status::null_pointer, field::none, [] { pool none(1, pool::run()); });
}

// Threads of the caller's: each task runs once, and the results are those of one thread.
void pool_of_the_callers() {
    const data<double> in;
    std::atomic<std::size_t> calls{0}, ran{0};
    pool threads(2, [&](std::size_t tasks, const task &task) {
        calls++;
        std::atomic<std::size_t> next{0};
        const auto work = [&] {
            for (std::size_t i = next++; i < tasks; i = next++) {
                task(i);
                ran++;
            }
        };
        std::thread other(work);
        work();
        other.join();
    });
    REQUIRE(threads.threads() == 2);
    const focal handle;
    const double expected = handle.compute(in.logits, in.targets);
    REQUIRE(same(handle.compute(in.logits, in.targets, {}, &threads), expected));
    REQUIRE(calls == 1 && ran >= 2);
    pool moved = std::move(threads);
    REQUIRE(same(handle.compute(in.logits, in.targets, {}, &moved), expected) && calls == 2);
    moved = pool(1);
    REQUIRE(same(handle.compute(in.logits, in.targets, {}, &moved), expected) && calls == 2);
}

void one_handle_on_many_threads() {
    const data<float> in;
    const focal handle;
    const pool threads(2);
    const double expected = handle.compute(in.logits, in.targets);
    std::array<double, 3> losses{};
    std::vector<std::thread> running;
    for (double &loss : losses) {
        running.emplace_back([&] { loss = handle.compute(in.logits, in.targets, {}, &threads); });
    }
    for (std::thread &thread : running) {
        thread.join();
    }
    for (const double loss : losses) {
        REQUIRE(same(loss, expected));
    }
}

} // namespace

int main() {
    run("settings_of_focal", settings_of_focal);
    run("rules_of_focal", rules_of_focal);
    run("settings_of_ghm", settings_of_ghm);
    run("constants_have_the_values_of_c", constants_have_the_values_of_c);
    run("versions", versions);
    run("focal_f32", focal_of_elements<float>);
    run("focal_f64", focal_of_elements<double>);
    run("softmax_f32", softmax_of_rows<float>);
    run("softmax_f64", softmax_of_rows<double>);
    run("calibration_f32", calibration<float>);
    run("calibration_f64", calibration<double>);
    run("ghmc_f32", [] { ghm_of_elements<float>(ghm_kind::classification); });
    run("ghmc_f64", [] { ghm_of_elements<double>(ghm_kind::classification); });
    run("ghmr_f32", [] { ghm_of_elements<float>(ghm_kind::regression); });
    run("ghmr_f64", [] { ghm_of_elements<double>(ghm_kind::regression); });
    run("density_f32", density_of_elements<float>);
    run("density_f64", density_of_elements<double>);
    run("history_and_state", history_and_state);
    run("batch_of_images", batch_of_images);
    run("batch_fields", batch_fields);
    run("gamma_of_classes", gamma_of_classes);
    run("offsets_of_classes", offsets_of_classes);
    run("weights_of_terms", weights_of_terms);
    run("errors_of_setters", errors_of_setters);
    run("errors_of_plain_calls", errors_of_plain_calls);
    run("lengths_of_plain_calls", lengths_of_plain_calls);
    run("errors_of_batches", errors_of_batches);
    run("lengths_of_batches", lengths_of_batches);
    run("handles_that_were_moved_from", handles_that_were_moved_from);
    run("pools", pools);
    run("pool_of_the_callers", pool_of_the_callers);
    run("one_handle_on_many_threads", one_handle_on_many_threads);
    return failed == 0 ? 0 : 1;
}
