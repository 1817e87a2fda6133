// SPDX-License-Identifier: MIT

// Runs the lines of cases.txt, from standard input, and writes them with what C++ finds.

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <focalghm.hpp>

namespace {

using words = std::vector<std::string>;
template <class... Numbers> using vectors = std::variant<std::vector<Numbers>...>;

// The memory of an array: its numbers and its layout.
struct memory {
    vectors<float, double, focalghm::float16, focalghm::bfloat16, std::uint8_t, std::int32_t,
            std::int64_t>
        numbers;
    std::string layout;
};

template <std::size_t size>
using bits_of_size =
    std::tuple_element_t<size == 1   ? 0
                         : size == 2 ? 1
                         : size == 4 ? 2
                                     : 3,
                         std::tuple<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>>;

template <class To, class From> To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from);
    std::memcpy(&to, &from, sizeof to);
    return to;
}

std::uint64_t hexadecimal(const std::string &word) {
    return std::stoull(word, nullptr, 16);
}

double real(const std::string &word) {
    return same_bits<double>(hexadecimal(word));
}

std::vector<double> reals(const words &line) {
    std::vector<double> values;
    for (std::size_t k = 1; k < line.size(); k++) {
        values.push_back(real(line[k]));
    }
    return values;
}

template <class Number> std::string digits(Number number) {
    char text[20];
    std::snprintf(text, sizeof text, " %0*" PRIx64, static_cast<int>(2 * sizeof number),
                  std::uint64_t{same_bits<bits_of_size<sizeof number>>(number)});
    return text;
}

template <class Numbers> std::string all_digits(const Numbers &numbers) {
    std::string text;
    for (const auto number : numbers) {
        text += digits(number);
    }
    return text;
}

std::string decimals(const std::vector<std::uint64_t> &numbers) {
    std::string text;
    for (const std::uint64_t number : numbers) {
        text += " " + std::to_string(number);
    }
    return text;
}

memory made(const words &line) {
    static const std::map<std::string, decltype(memory::numbers)> types{
        {"f32", std::vector<float>()},
        {"f64", std::vector<double>()},
        {"f16", std::vector<focalghm::float16>()},
        {"bf16", std::vector<focalghm::bfloat16>()},
        {"u8", std::vector<std::uint8_t>()},
        {"i32", std::vector<std::int32_t>()},
        {"i64", std::vector<std::int64_t>()}};
    memory made{types.at(line[2]), line[3]};
    std::visit(
        [&](auto &numbers) {
            using number = typename std::decay_t<decltype(numbers)>::value_type;
            numbers.resize(line[0] == "out" ? std::stoul(line[4]) : line.size() - 4);
            for (std::size_t k = 0; k < numbers.size() && line[0] == "in"; k++) {
                numbers[k] = same_bits<number>(
                    static_cast<bits_of_size<sizeof(number)>>(hexadecimal(line[4 + k])));
            }
        },
        made.numbers);
    return made;
}

focalghm::output described(memory &array) {
    return std::visit(
        [&](auto &numbers) -> focalghm::output {
            if (array.layout == "contiguous") {
                return numbers;
            }
            if (array.layout == "per_sample") {
                return focalghm::per_sample(numbers);
            }
            std::istringstream text(array.layout);
            std::vector<std::int64_t> strides;
            std::size_t first = 0;
            char comma = ',';
            text >> first;
            for (std::int64_t stride = 0; text >> comma >> stride;) {
                strides.push_back(stride);
            }
            return focalghm::strided(numbers, strides, first);
        },
        array.numbers);
}

// What a case has, and what its last call has found.
struct state {
    std::optional<focalghm::focal> focal{};
    std::optional<focalghm::ghm> ghm{};
    std::map<std::string, memory> arrays{};
    std::map<std::string, words> batch{};
    std::vector<std::uint64_t> counts{};
    double number = 0;
    std::optional<focalghm::result> result{};

    std::string found(const std::string &name);
    void run(const words &line);
    void set(const std::string &name, const std::string &value);
    void call(const words &line);
    template <class Real> void call_plain(const words &line);
};

std::string state::found(const std::string &name) {
    if (arrays.count(name) != 0) {
        return std::visit([](const auto &numbers) { return all_digits(numbers); },
                          arrays[name].numbers);
    }
    if (name == "result") {
        return all_digits(std::vector<double>{result->loss, result->sum, result->divisor,
                                              result->sum_weights, result->sum_targets}) +
               decimals({result->elements, result->valid, result->positives});
    }
    if (name == "state") {
        std::string text = " ";
        for (const std::uint8_t byte : ghm->save()) {
            text += digits(byte).substr(1);
        }
        return text;
    }
    return name == "number"     ? digits(number)
           : name == "counts"   ? decimals(counts)
           : name == "averages" ? all_digits(ghm->averages())
                                : all_digits(ghm->weights());
}

void state::set(const std::string &name, const std::string &value) {
    const auto constant = [&] { return std::stoi(value); };
    if (focal) {
        name == "gamma"             ? focal->set_gamma(real(value))
        : name == "negative_gamma"  ? focal->set_negative_gamma(real(value))
        : name == "alpha"           ? focal->set_alpha(real(value))
        : name == "loss_weight"     ? focal->set_loss_weight(real(value))
        : name == "normalizer"      ? focal->set_normalizer(real(value))
        : name == "hessian_floor"   ? focal->set_hessian_floor(real(value))
        : name == "hessian_factor"  ? focal->set_hessian_factor(real(value))
        : name == "positive_weight" ? focal->set_positive_weight(real(value))
        : name == "beta"            ? focal->set_beta(real(value))
        : name == "margin"          ? focal->set_margin(real(value))
        : name == "detached"        ? focal->set_detached(value == "1")
        : name == "reduction"       ? focal->set_reduction(focalghm::reduction{constant()})
        : name == "rule"            ? focal->set_rule(focalghm::focal_rule{constant()})
                                    : focal->set_hessian_mode(focalghm::hessian_mode{constant()});
        return;
    }
    name == "bins"            ? ghm->set_bins(std::stoul(value))
    : name == "histograms"    ? ghm->set_histograms(std::stoul(value))
    : name == "mu"            ? ghm->set_mu(real(value))
    : name == "momentum"      ? ghm->set_momentum(real(value))
    : name == "weight_cap"    ? ghm->set_weight_cap(real(value))
    : name == "loss_weight"   ? ghm->set_loss_weight(real(value))
    : name == "normalizer"    ? ghm->set_normalizer(real(value))
    : name == "reduction"     ? ghm->set_reduction(focalghm::reduction{constant()})
    : name == "momentum_rule" ? ghm->set_momentum_rule(focalghm::momentum_rule{constant()})
                              : ghm->set_divisor(focalghm::bin_divisor{constant()});
}

template <class Real> void state::call_plain(const words &line) {
    const auto numbers = [&](const char *name) -> std::vector<Real> & {
        return std::get<std::vector<Real>>(arrays.at(name).numbers);
    };
    focalghm::arrays<Real> more;
    const std::map<std::string, std::optional<focalghm::view<Real>> *> outputs{
        {"element_loss", &more.element_loss},
        {"gradient", &more.gradient},
        {"hessian", &more.hessian}};
    for (const auto &[name, slot] : outputs) {
        if (arrays.count(name) != 0) {
            *slot = numbers(name.c_str());
        }
    }
    if (arrays.count("weights") != 0) {
        more.weights = numbers("weights");
    }
    const std::vector<Real> &logits = numbers("logits");
    if (line[1] == "softmax") {
        number = focal->softmax(std::stoul(line[2]), logits,
                                std::get<std::vector<std::int64_t>>(arrays.at("targets").numbers),
                                more, std::stoll(line[3]));
    } else if (line[1] == "calibrate") {
        focal->calibrate(logits, numbers("gradient"));
    } else if (line[1] == "density") {
        ghm->density(logits, numbers("targets"), numbers("harmonizing_weight"));
    } else if (line[1] == "count") {
        ghm->count(logits, numbers("targets"), counts, more.weights);
    } else {
        const std::vector<Real> &targets = numbers("targets");
        number = line[1] == "apply" ? ghm->apply(logits, targets, more)
                 : ghm              ? ghm->step(logits, targets, more)
                                    : focal->compute(logits, targets, more);
    }
}

void state::call(const words &line) {
    if (line[1].find("batch") == std::string::npos) {
        const bool is_double = arrays.at("logits").numbers.index() == 1;
        is_double ? call_plain<double>(line) : call_plain<float>(line);
        return;
    }
    const auto constant = [&](const char *name, int unless) {
        return batch.count(name) != 0 ? std::stoi(batch[name][1]) : unless;
    };
    std::vector<std::int64_t> shape;
    for (std::size_t axis = 1; axis < batch.at("shape").size(); axis++) {
        shape.push_back(std::stoll(batch["shape"][axis]));
    }
    focalghm::batch b(shape, constant("class_axis", focalghm::no_class_axis));
    b.activation(focalghm::activation{constant("activation", 0)});
    b.target_form(focalghm::target_form{constant("target_form", 0)});
    b.background(focalghm::background{constant("background", 0)});
    b.nan_targets_ignored(constant("flags", 0) == 1);
    b.class_weights_of_terms(constant("flags", 0) == 2);
    if (batch.count("ignore_index") != 0) {
        b.ignore_index(std::stoll(batch["ignore_index"][1]));
    }
    if (batch.count("label_smoothing") != 0) {
        b.label_smoothing(real(batch["label_smoothing"][1]));
    }
    using take_factors =
        focalghm::batch &(focalghm::batch::*)(focalghm::view<const double>) noexcept;
    std::map<std::string, std::vector<double>> factors;
    for (const auto &[name, take] :
         std::map<std::string, take_factors>{{"class_alpha", &focalghm::batch::class_alpha},
                                             {"class_gamma", &focalghm::batch::class_gamma},
                                             {"class_weights", &focalghm::batch::class_weights},
                                             {"class_offsets", &focalghm::batch::class_offsets}}) {
        if (batch.count(name) != 0) {
            (b.*take)(factors[name] = reals(batch[name]));
        }
    }
    for (auto &[name, array] : arrays) {
        const focalghm::output a = described(array);
        name == "logits"         ? b.logits(a)
        : name == "targets"      ? b.targets(a)
        : name == "scores"       ? b.scores(a)
        : name == "weights"      ? b.weights(a)
        : name == "element_loss" ? b.element_loss(a)
        : name == "gradient"     ? b.gradient(a)
        : name == "hessian"      ? b.hessian(a)
                                 : b.harmonizing_weight(a);
    }
    result = line[1] == "count_batch"   ? ghm->count(b, counts)
             : line[1] == "apply_batch" ? ghm->apply(b)
             : ghm                      ? ghm->step(b)
                                        : focal->compute(b);
}

void state::run(const words &line) {
    const std::string &what = line[0];
    if (what == "case") {
        *this = state{};
    } else if (what == "focal") {
        ghm.reset();
        focal.emplace();
    } else if (what == "ghm") {
        focal.reset();
        ghm.emplace(focalghm::ghm_kind{std::stoi(line[1])});
    } else if (what == "set") {
        set(line[1], line[2]);
    } else if (what == "clear") {
        line[1] == "alpha" ? focal->clear_alpha() : focal->clear_negative_gamma();
    } else if (what == "edges") {
        ghm->set_edges(reals(line));
    } else if (what == "clone") {
        focal ? void(focal = focal->clone()) : void(ghm = ghm->clone());
    } else if (what == "reset") {
        ghm->reset();
    } else if (what == "load" || what == "restore") {
        std::vector<std::uint8_t> bytes;
        for (std::size_t k = 0; k < line[1].size(); k += 2) {
            bytes.push_back(static_cast<std::uint8_t>(hexadecimal(line[1].substr(k, 2))));
        }
        what == "load" ? void(ghm->load(bytes)) : void(ghm = focalghm::ghm::from_state(bytes));
    } else if (what == "in" || what == "out") {
        arrays[line[1]] = made(line);
    } else if (what == "counts") {
        counts.clear();
        for (std::size_t k = 1; k < line.size(); k++) {
            counts.push_back(std::stoull(line[k]));
        }
    } else if (what == "update") {
        ghm->update(counts);
    } else if (what == "best_constant") {
        number = focal->best_constant(real(line[1]), real(line[2]));
    } else if (what == "call") {
        call(line);
    } else {
        batch[what] = line;
    }
}

std::string name_or_dash(focalghm::field where) {
    return where == focalghm::field::none ? " -" : " " + std::string(name(where));
}

} // namespace

int main() {
    state now;
    for (std::string text; std::getline(std::cin, text);) {
        std::istringstream stream(text);
        words line;
        for (std::string word; stream >> word;) {
            line.push_back(word);
        }
        if (line[0] == "=") {
            std::cout << "= " << line[1] << now.found(line[1]) << "\n";
        } else if (line[0] != "error") {
            std::cout << text << "\n";
            try {
                line[0][0] == '#' ? void() : now.run(line);
            } catch (const focalghm::status_error &e) {
                std::cout << "error " << static_cast<int>(e.status()) << name_or_dash(e.field());
                if (line[0] == "call" && line[1].find("batch") != std::string::npos) {
                    std::cout << name_or_dash(e.other_field()) << " " << static_cast<int>(e.place())
                              << " " << e.offender();
                }
                std::cout << "\n";
            }
        }
    }
    return 0;
}
