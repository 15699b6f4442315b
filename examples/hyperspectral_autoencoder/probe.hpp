#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <dchag/core/error.hpp>
#include <vector>

namespace pines {

/// Vectors of `size` features, with a class (from 1) for each.
struct Samples {
  std::size_t size = 0;
  std::vector<double> features;  // [samples, size]
  std::vector<int> labels;

  std::size_t count() const { return labels.size(); }
  double const* one(std::size_t sample) const { return features.data() + sample * size; }
};

struct Accuracy {
  double overall = 0, average = 0;  // of all samples; mean over classes
};

/// Linear discriminant analysis in closed form: one covariance S for all classes, shrunk to (1 - s) S + s tr(S)/d I,
/// and class frequencies as priors.
class LinearDiscriminant {
 public:
  LinearDiscriminant(Samples const& samples, double shrinkage) : size_(samples.size) {
    classes_ = static_cast<std::size_t>(*std::max_element(samples.labels.begin(), samples.labels.end()));
    std::vector<double> counts(classes_, 0.0);
    weights_.assign(classes_ * size_, 0.0);
    for (std::size_t i = 0; i < samples.count(); ++i) {
      std::size_t const k = static_cast<std::size_t>(samples.labels[i]) - 1;
      ++counts[k];
      for (std::size_t j = 0; j < size_; ++j) weights_[k * size_ + j] += samples.one(i)[j];
    }
    for (std::size_t k = 0; k < classes_; ++k)
      for (std::size_t j = 0; j < size_; ++j) weights_[k * size_ + j] /= std::max(counts[k], 1.0);
    std::vector<double> const factor = cholesky(covariance(samples, shrinkage));
    for (std::size_t k = 0; k < classes_; ++k) {
      std::vector<double> const mean(weights_.begin() + static_cast<std::ptrdiff_t>(k * size_),
                                     weights_.begin() + static_cast<std::ptrdiff_t>((k + 1) * size_));
      double* const w = weights_.data() + k * size_;
      solve(factor, w);
      double dot = 0;
      for (std::size_t j = 0; j < size_; ++j) dot += w[j] * mean[j];
      offsets_.push_back(counts[k] > 0 ? std::log(counts[k] / static_cast<double>(samples.count())) - 0.5 * dot
                                       : -HUGE_VAL);
    }
  }

  Accuracy score(Samples const& samples) const {
    std::vector<double> right(classes_, 0.0), all(classes_, 0.0);
    for (std::size_t i = 0; i < samples.count(); ++i) {
      std::size_t const truth = static_cast<std::size_t>(samples.labels[i]) - 1;
      if (truth >= classes_) continue;
      ++all[truth];
      if (predict(samples.one(i)) == truth) ++right[truth];
    }
    double hits = 0, recalls = 0, present = 0;
    for (std::size_t k = 0; k < classes_; ++k) {
      hits += right[k];
      if (all[k] > 0) recalls += right[k] / all[k], ++present;
    }
    return {hits / static_cast<double>(std::max<std::size_t>(samples.count(), 1)), present > 0 ? recalls / present : 0};
  }

 private:
  std::size_t predict(double const* x) const {
    std::size_t best = 0;
    double highest = -HUGE_VAL;
    for (std::size_t k = 0; k < classes_; ++k) {
      double score = offsets_[k];
      for (std::size_t j = 0; j < size_; ++j) score += weights_[k * size_ + j] * x[j];
      if (score > highest) highest = score, best = k;
    }
    return best;
  }

  /// Pooled over classes; weights_ holds the class means.
  std::vector<double> covariance(Samples const& samples, double shrinkage) const {
    std::vector<double> s(size_ * size_, 0.0), x(size_);
    for (std::size_t i = 0; i < samples.count(); ++i) {
      double const* const mean = weights_.data() + (static_cast<std::size_t>(samples.labels[i]) - 1) * size_;
      for (std::size_t j = 0; j < size_; ++j) x[j] = samples.one(i)[j] - mean[j];
      for (std::size_t j = 0; j < size_; ++j)
        for (std::size_t k = 0; k <= j; ++k) s[j * size_ + k] += x[j] * x[k];
    }
    double trace = 0;
    for (double& value : s) value /= static_cast<double>(samples.count());
    for (std::size_t j = 0; j < size_; ++j) trace += s[j * size_ + j];
    for (double& value : s) value *= 1 - shrinkage;
    for (std::size_t j = 0; j < size_; ++j) s[j * size_ + j] += shrinkage * trace / static_cast<double>(size_);
    return s;
  }

  /// The lower triangle L of s = L L^T.
  std::vector<double> cholesky(std::vector<double> s) const {
    for (std::size_t j = 0; j < size_; ++j)
      for (std::size_t i = j; i < size_; ++i) {
        double sum = s[i * size_ + j];
        for (std::size_t k = 0; k < j; ++k) sum -= s[i * size_ + k] * s[j * size_ + k];
        dchag::require(i != j || sum > 0, "the covariance of ", size_, " features is not positive definite");
        s[i * size_ + j] = i == j ? std::sqrt(sum) : sum / s[j * size_ + j];
      }
    return s;
  }

  /// x becomes the solution of (factor factor^T) y = x.
  void solve(std::vector<double> const& factor, double* x) const {
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t k = 0; k < i; ++k) x[i] -= factor[i * size_ + k] * x[k];
      x[i] /= factor[i * size_ + i];
    }
    for (std::size_t i = size_; i-- > 0;) {
      for (std::size_t k = i + 1; k < size_; ++k) x[i] -= factor[k * size_ + i] * x[k];
      x[i] /= factor[i * size_ + i];
    }
  }

  std::size_t size_, classes_ = 0;
  std::vector<double> weights_, offsets_;  // [classes, size], [classes]
};

struct ProbeResult {
  double shrinkage = 0;
  Accuracy validation, test;
};

/// Trains on the training blocks with the shrinkage that is best on the validation blocks.
inline ProbeResult probe(Samples const& train, Samples const& validation, Samples const& test) {
  ProbeResult best;
  for (double shrinkage : {1e-4, 1e-3, 1e-2, 1e-1, 3e-1, 6e-1, 9e-1}) {
    LinearDiscriminant const discriminant(train, shrinkage);
    Accuracy const accuracy = discriminant.score(validation);
    if (accuracy.overall > best.validation.overall || best.shrinkage == 0)
      best = {shrinkage, accuracy, discriminant.score(test)};
  }
  return best;
}

}  // namespace pines
