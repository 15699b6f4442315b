#pragma once

#include <dchag/core/context.hpp>
#include <dchag/core/types.hpp>
#include <exception>

namespace dchag {

/// What the parameters of a unit are used for: their values alone, or their values and then their gradients.
enum class Pass { forward, backward };

/// What happens around the use of a unit's parameters where a rank does not keep all of them, or where their gradients
/// are reduced as soon as they are complete. All ranks that share a unit use units in the same order.
template <class Space>
class UnitHooks {
 public:
  virtual ~UnitHooks() = default;

  /// Before the first and after the last access of a pass to the parameters of unit number `unit`.
  virtual void begin(Context<Space> const& context, Index unit, Pass pass) = 0;
  virtual void end(Context<Space> const& context, Index unit, Pass pass) = 0;

  /// The values that are kept were written by other means than the hooks'.
  virtual void values_changed() = 0;
};

/// The use of one unit in one pass, until the end of the block. Where an exception leaves the block, nothing follows.
template <class Space>
class [[nodiscard]] UnitUse {
 public:
  UnitUse(UnitHooks<Space>* hooks, Context<Space> const& context, Index unit, Pass pass)
      : hooks_(hooks), context_(&context), unit_(unit), pass_(pass) {
    if (hooks_ != nullptr) hooks_->begin(context, unit, pass);
  }
  UnitUse(UnitUse const&) = delete;
  UnitUse& operator=(UnitUse const&) = delete;
  ~UnitUse() noexcept(false) {
    if (hooks_ != nullptr && std::uncaught_exceptions() == exceptions_) hooks_->end(*context_, unit_, pass_);
  }

 private:
  UnitHooks<Space>* hooks_;
  Context<Space> const* context_;
  Index unit_;
  Pass pass_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace dchag
