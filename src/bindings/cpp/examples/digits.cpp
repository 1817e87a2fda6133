// SPDX-License-Identifier: MIT

// Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
// gradient descent, and prints the last loss and its bits.
//
//     c++ -ffp-contract=off digits.cpp $(pkg-config --cflags --libs focalghm)
//     ./a.out digits.csv    # 64 numbers from 0 to 16 and the digit, in each line

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <focalghm.hpp>

namespace {

constexpr std::size_t pixels = 64, classes = 10, steps = 20;
constexpr double rate = 4;

double train(const std::vector<double> &inputs, const std::vector<std::int64_t> &labels) {
    const focalghm::focal focal; // gamma 2, mean
    std::vector<double> weights(pixels * classes), logits, gradient(labels.size() * classes);
    focalghm::arrays<double> arrays;
    arrays.gradient = gradient;
    double loss = 0;
    for (std::size_t step = 0; step < steps; step++) {
        logits.assign(gradient.size(), 0);
        for (std::size_t i = 0; i < inputs.size(); i++) {
            for (std::size_t c = 0; c < classes; c++) {
                logits[i / pixels * classes + c] += inputs[i] * weights[i % pixels * classes + c];
            }
        }
        loss = focal.softmax(classes, logits, labels, arrays);
        for (std::size_t i = 0; i < inputs.size(); i++) {
            for (std::size_t c = 0; c < classes; c++) {
                weights[i % pixels * classes + c] -=
                    rate * inputs[i] * gradient[i / pixels * classes + c];
            }
        }
    }
    return loss;
}

} // namespace

int main(int count, char **arguments) {
    std::ifstream file(count > 1 ? arguments[1] : "digits.csv");
    std::vector<double> inputs;
    std::vector<std::int64_t> labels;
    int number = 0;
    char separator = ',';
    while (file >> number) {
        file.get(separator);
        if (separator == ',') {
            inputs.push_back(number / 16.0);
        } else {
            labels.push_back(number);
        }
    }
    try {
        const double loss = train(inputs, labels);
        std::uint64_t bits = 0;
        std::memcpy(&bits, &loss, sizeof bits);
        std::printf("%.6f %016" PRIx64 "\n", loss, bits);
    } catch (const focalghm::error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
