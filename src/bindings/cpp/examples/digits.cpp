// SPDX-License-Identifier: MIT

// Trains a linear classifier of handwritten digits with the softmax focal loss, 20 steps of
// gradient descent, and prints the last loss and its bits.
//
//     c++ -ffp-contract=off digits.cpp $(pkg-config --cflags --libs focalghm)
//     ./a.out digits.csv    # 64 numbers from 0 to 16 and the digit, in each line

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

#include <focalghm.hpp>

int main(int count, char **arguments) {
    constexpr std::size_t pixels = 64, classes = 10, steps = 20;
    constexpr double rate = 4;
    std::ifstream file(count > 1 ? arguments[1] : "digits.csv");
    std::vector<double> inputs, weights(pixels * classes);
    std::vector<std::int64_t> labels;
    int number = 0;
    for (char separator = 0; file >> number && file.get(separator);) {
        separator == ',' ? inputs.push_back(number / 16.0) : labels.push_back(number);
    }
    const focalghm::focal focal; // gamma 2, mean
    std::vector<double> gradient(labels.size() * classes);
    double loss = 0;
    for (std::size_t step = 0; step < steps; step++) {
        std::vector<double> logits(gradient.size());
        for (std::size_t k = 0; k < inputs.size() * classes; k++) {
            const std::size_t i = k / classes, c = k % classes;
            logits[i / pixels * classes + c] += inputs[i] * weights[i % pixels * classes + c];
        }
        // Throws focalghm::error.
        loss = focal.softmax(classes, logits, labels, focalghm::gradient_into(gradient));
        for (std::size_t k = 0; k < inputs.size() * classes; k++) {
            const std::size_t i = k / classes, c = k % classes;
            weights[i % pixels * classes + c] -=
                rate * inputs[i] * gradient[i / pixels * classes + c];
        }
    }
    std::uint64_t bits = 0;
    std::memcpy(&bits, &loss, sizeof bits);
    std::printf("%.6f %016llx\n", loss, static_cast<unsigned long long>(bits));
}
