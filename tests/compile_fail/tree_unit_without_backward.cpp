// expect: && TreeLevel<Levels>. .with Levels = .Level... evaluated to .false
#include <dchag/channels/tree.hpp>

template <class T, class Space>
struct Forward {
  Forward(dchag::Parameters<T, Space>&, std::string const&, dchag::UnitShape);
  dchag::Index kept_per_row() const;
  void prepare(dchag::Context<Space> const&);
  void finish(dchag::Context<Space> const&);
  void forward(dchag::Context<Space> const&, dchag::Tiling const&, T const*, T*, T*);
};
struct Level {
  static constexpr char const* name = "forward";
  static constexpr dchag::Index groups = 1;
  template <class T, class Space>
  using Unit = Forward<T, Space>;
};

using Model = dchag::Tree<Level>;
int main() { return sizeof(Model); }
