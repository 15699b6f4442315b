#include <doctest/doctest.h>

#include <dchag/core/policies.hpp>

using namespace dchag;

namespace {
using Single = Precision<float>;
using Kept = Recompute<Blocks>;
using Host = Space<Kokkos::DefaultHostExecutionSpace>;
}  // namespace

TEST_CASE("a policy is found by its role, wherever it stands, and else is the default") {
  static_assert(std::same_as<find_policy<role::Precision, Precision<double>, Kept, Single, Host>, Single>);
  static_assert(std::same_as<find_policy<role::Precision, Precision<double>, Single, Host, Kept>, Single>);
  static_assert(std::same_as<find_policy<role::Precision, Precision<double>, Kept, Host>, Precision<double>>);
  static_assert(std::same_as<find_policy<role::Space, Host>, Host>);
  CHECK(find_policy<role::Recompute, Recompute<Nothing>, Kept>::blocks);
}

TEST_CASE("mixed precision is that of float, whose products alone are rounded") {
  static_assert(std::same_as<Precision<Mixed>::Scalar, float> && std::same_as<Precision<double>::Scalar, double>);
  static_assert(Precision<Mixed>::products == Products::bfloat16);
  static_assert(Precision<float>::products == Products::unrounded);
  static_assert(PrecisionPolicy<Mixed> && !PrecisionPolicy<int> && !Real<Mixed>);
  static_assert(!OnePolicyPerRole<Single, Precision<Mixed>>);
  CHECK(true);
}

TEST_CASE("policies have a role, and no two the same") {
  static_assert(Policy<Single> && Policy<Kept> && Policy<Host>);
  static_assert(!Policy<int> && !Policy<Nothing>);
  static_assert(OnePolicyPerRole<> && OnePolicyPerRole<Single> && OnePolicyPerRole<Single, Kept, Host>);
  static_assert(!OnePolicyPerRole<Single, Kept, Precision<double>>);
  static_assert(Real<float> && Real<double> && !Real<int>);
  CHECK(true);
}
