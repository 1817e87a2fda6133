// SPDX-License-Identifier: MIT

// Two steps of training over images with a label for each pixel, then GHM, saved and loaded.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include <focalghm.hpp>

namespace {

constexpr std::int64_t images = 2, classes = 3, height = 4, width = 5;

void segment(const focalghm::pool &threads) {
    std::vector<float> logits(images * classes * height * width), gradient(logits.size());
    std::vector<std::uint8_t> labels(images * height * width, 2);
    labels[0] = 255; // a pixel that does not count

    focalghm::focal focal;
    focal.set_gamma(1.5).set_reduction(focalghm::reduction::mean_valid);
    focalghm::batch batch({images, classes, height, width}, 1);
    batch.activation(focalghm::activation::softmax)
        .target_form(focalghm::target_form::label)
        .ignore_index(255)
        .logits(logits)
        .targets(labels)
        .gradient(gradient);
    for (int step = 0; step < 2; step++) {
        const focalghm::result result = focal.compute(batch, &threads);
        std::printf("softmax: loss %.6f of %d pixels\n", result.loss,
                    static_cast<int>(result.valid));
        for (std::size_t i = 0; i < logits.size(); i++) {
            logits[i] -= 100 * gradient[i];
        }
    }
}

void harmonize() {
    const std::vector<double> logits{2, -1.5, 0.3, -4}, targets{1, 0, 1, 0};
    std::vector<double> gradient(logits.size());
    focalghm::arrays<double> arrays;
    arrays.gradient = gradient;

    focalghm::ghm ghm(focalghm::ghm_kind::classification);
    ghm.set_momentum(0.75).set_weight_cap(2);
    std::printf("GHM: loss %.6f\n", ghm.step(logits, targets, arrays));
    focalghm::ghm resumed = focalghm::ghm::from_state(ghm.save());
    std::printf("GHM: loss %.6f\n", resumed.step(logits, targets, arrays));
}

} // namespace

int main() {
    try {
        segment(focalghm::pool(2));
        harmonize();
        focalghm::focal().set_gamma(-1);
    } catch (const focalghm::error &error) {
        std::printf("%s\n", error.what()); // gamma: a number is out of its range or NaN
    }
    return 0;
}
