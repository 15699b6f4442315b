#pragma once

#include <cmath>
#include <cstddef>
#include <dchag/core/context.hpp>
#include <dchag/core/error.hpp>
#include <dchag/core/types.hpp>
#include <dchag/training/detail/image_rows.hpp>
#include <dchag/training/detail/sums.hpp>
#include <vector>

namespace dchag {

/// Two sets of fields to be compared, and what counts for how much. A forecast of several lead times at once is seen as
/// [B, leads * fields, height, width], which is how it lies in memory: every lead time of every field has sums of its
/// own.
template <class T, class Space>
struct ComparedFields {
  View<T const****, Space> prediction, target;  // [B, fields, height, width]: a forecast or a baseline, and the truth
  View<T const*, Space> row_weights{};          // [height]; none: ones
  View<T const****, Space> weight{};       // [B or 1, fields or 1, height, width]: where zero, fields may be anything
  View<T const****, Space> climatology{};  // of the same extents: what anomalies are taken from; none: zero
};

/// Sums of one field over images and pixels, in double, each pixel times weight times row_weight. Those of further
/// images, on other ranks perhaps, may be added.
struct FieldSums {
  double weight = 0;
  double error = 0;      // (prediction - target)²
  double predicted = 0;  // (prediction - climatology)²
  double observed = 0;   // (target - climatology)²
  double product = 0;    // (prediction - climatology) (target - climatology)

  FieldSums& operator+=(FieldSums const& more) {
    weight += more.weight;
    error += more.error;
    predicted += more.predicted;
    observed += more.observed;
    product += more.product;
    return *this;
  }

  // Not a number where nothing counts.
  double mse() const { return error / weight; }
  double rmse() const { return std::sqrt(mse()); }
  /// The uncentred anomaly correlation, product / sqrt(predicted observed). Not a number where either has no anomaly.
  double anomaly_correlation() const { return product / (std::sqrt(predicted) * std::sqrt(observed)); }
};

/// 1 - mse / mse of the baseline: one where the forecast is perfect, zero where it is no better than the baseline.
inline double skill(FieldSums const& forecast, FieldSums const& baseline) {
  return 1 - forecast.mse() / baseline.mse();
}

/// Sums over several fields or lead times, or over several calls.
inline FieldSums total(std::vector<FieldSums> const& fields) {
  FieldSums sums;
  for (FieldSums const& field : fields) sums += field;
  return sums;
}

namespace detail {

inline constexpr Index field_sums = 5;  // members of FieldSums

/// The chunk-th sum of the rows of a field, of each member of FieldSums one after the other.
template <class T>
struct FieldSum {
  T const *prediction, *target, *factors;
  ImageRows<T> weights, climatology;
  Index fields, height, columns;
  Chunks rows;  // of the images of one field

  template <class Sum>
  KOKKOS_FUNCTION double operator()(Index item, Sum const& sum) const {
    Index const chunk = item % rows.count, field = item / rows.count % fields, member = item / rows.count / fields;
    double total = 0;
    for (Index i = rows.begin(chunk); i < rows.end(chunk); ++i) {
      Index const row = (i / height * fields + field) * height + i % height;
      T const *p = prediction + row * columns, *t = target + row * columns;
      T const* const w = weights.data == nullptr ? nullptr : weights.row(row);
      T const* const c = climatology.data == nullptr ? nullptr : climatology.row(row);
      double const factor = factors == nullptr ? 1.0 : static_cast<double>(factors[i % height]);
      total += factor * sum(columns, [=](Index k) {
                 double const weight = w == nullptr ? 1.0 : static_cast<double>(w[k]);
                 if (weight == 0) return 0.0;
                 double const mean = c == nullptr ? 0.0 : static_cast<double>(c[k]);
                 double const a = static_cast<double>(p[k]) - mean, b = static_cast<double>(t[k]) - mean;
                 double const error = static_cast<double>(p[k]) - static_cast<double>(t[k]);
                 double const value = member == 0   ? 1.0
                                      : member == 1 ? error * error
                                      : member == 2 ? a * a
                                      : member == 3 ? b * b
                                                    : a * b;
                 return weight * value;
               });
    }
    return total;
  }
};

template <class T, class Space>
FieldSum<T> field_sum(ComparedFields<T, Space> const& compared) {
  auto const& like = compared.prediction;
  auto const same = [&](unsigned axis) { return compared.target.extent(axis) == like.extent(axis); };
  require(like.size() > 0 && same(0) && same(1) && same(2) && same(3), "field_sums: predictions of ", like.size(),
          " numbers and a target of ", compared.target.size(), ": give both, of one shape");
  auto const extent = [&](unsigned axis) { return static_cast<Index>(like.extent(axis)); };
  auto const rows = [&](char const* what, auto const& given) {
    return given.size() == 0 ? ImageRows<T>{} : image_rows(what, given, like);
  };
  bool const weighted = compared.row_weights.size() > 0;
  require(!weighted || static_cast<Index>(compared.row_weights.extent(0)) == extent(2),
          "field_sums: ", compared.row_weights.extent(0), " row_weights for fields of height ", extent(2));
  return {like.data(),
          compared.target.data(),
          weighted ? compared.row_weights.data() : nullptr,
          rows("field_sums: the weight is", compared.weight),
          rows("field_sums: the climatology is", compared.climatology),
          extent(1),
          extent(2),
          extent(3),
          Chunks(extent(0) * extent(2))};
}

}  // namespace detail

/// The sums of every field: from them the scores. Throws where shapes do not fit. Waits for the device; zero in a dry
/// context.
template <class T, class Space>
std::vector<FieldSums> field_sums(Context<Space> const& context, ComparedFields<T, Space> const& compared) {
  auto const body = detail::field_sum(compared);
  Index const fields = body.fields, chunks = body.rows.count, sums = detail::field_sums * fields;
  auto scope = context.workspace().scope();
  auto const partial = context.workspace().template push<double*>(sums * chunks);
  auto const totals = context.workspace().template push<double*>(sums);
  context.fill(partial, 0.0);
  detail::sum_chunks(context, "dchag::field_sums", sums * chunks, partial.data(), body);
  context.loop(
      "dchag::field_sums::total", sums, KOKKOS_LAMBDA(Index i) {
        double total = 0;
        for (Index chunk = 0; chunk < chunks; ++chunk) total += partial(i * chunks + chunk);
        totals(i) = total;
      });
  std::vector<double> host(static_cast<std::size_t>(sums));
  using HostView = Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  context.copy(HostView(host.data(), host.size()), totals);
  context.fence("dchag::field_sums");
  std::vector<FieldSums> all;
  for (Index field = 0; field < fields; ++field) {
    auto const member = [&](Index i) { return host[static_cast<std::size_t>(i * fields + field)]; };
    all.push_back({member(0), member(1), member(2), member(3), member(4)});
  }
  return all;
}

}  // namespace dchag
