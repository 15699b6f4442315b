#pragma once

#include <cmath>
#include <dchag/core/error.hpp>
#include <dchag/core/parameters.hpp>
#include <dchag/layers/block.hpp>
#include <dchag/layers/layer_norm.hpp>
#include <dchag/layers/recompute.hpp>
#include <dchag/layers/redistribute.hpp>
#include <dchag/layers/spread.hpp>
#include <dchag/layers/spread_tensor_sequence.hpp>
#include <dchag/parallel/communicator.hpp>
#include <dchag/parallel/strategy.hpp>
#include <deque>
#include <string>
#include <type_traits>

namespace dchag {

/// Sizes of a transformer.
struct TransformerConfig {
  Index embed = 0;       // width of the residual stream
  Index heads = 0;       // of the attention; divides embed
  Index depth = 0;       // blocks
  double mlp_ratio = 4;  // hidden width of the MLPs over embed

  Index hidden() const { return static_cast<Index>(static_cast<double>(embed) * mlp_ratio); }

  /// Throws Error, naming the field as `owner` + its name, where the sizes make no transformer.
  void check(std::string const& owner = "") const {
    auto const positive = [&](char const* field, Index value) {
      require(value > 0, owner, field, " = ", value, " must be positive");
    };
    positive("embed", embed);
    positive("heads", heads);
    positive("depth", depth);
    require(std::isfinite(mlp_ratio) && mlp_ratio <= 1024 && hidden() > 0, owner, "mlp_ratio = ", mlp_ratio, " times ",
            owner, "embed = ", embed, " must be a hidden width from 1 to 1024 ", owner, "embed");
    if (embed % heads == 0) return;
    Index below = heads, above = heads;
    while (embed % below != 0) --below;
    while (above < embed && embed % above != 0) ++above;
    fail(owner, "heads = ", heads, " does not divide ", owner, "embed = ", embed, ": choose heads = ", below,
         above > heads && embed % above == 0 ? " or " + std::to_string(above) : std::string(), ", or ", owner,
         "embed = ", round_up(embed, heads));
  }
};

/// A vision transformer's trunk: `depth` pre-norm blocks and a final layer norm. Parameters `prefix + blocks.0.*` ...
/// and `prefix + norm.*`; every block is a shard unit of its own, and so is the norm.
///
/// Where blocks are recomputed, each keeps only its input for the backward pass, which runs it forward again.
///
/// Dropout, where there is any, drops in forward and its backward, not in evaluate. Products are computed as the
/// context says.
///
/// The ranks of a group share the work as the strategy says. All of them call forward, evaluate and backward together.
/// Whole rows are the same on every rank; where the strategy divides rows, a rank's own are those of own_locations(),
/// else all.
template <class T, class Space, bool recompute_blocks = false, ModelStrategy Strategy = Tensor>
class Encoder {
 public:
  using Rows = linalg::Matrix<T>;
  using Block = std::conditional_t<recompute_blocks, layers::Recomputed<T, Space, layers::Block<T, Space, Strategy>>,
                                   layers::Block<T, Space, Strategy>>;

  /// Throws Error where the sizes make no transformer, or none that the strategy can spread over the group.
  Encoder(Parameters<T, Space>& parameters, TransformerConfig const& config, std::string const& prefix = "",
          Communicator const& group = {}, layers::Dropout const& dropout = {})
      : config_(checked(config, prefix)),
        spread_(group),
        dropout_(dropout),
        parameters_(&parameters),
        first_unit_(static_cast<Index>(parameters.units().size())),
        blocks_(add_blocks(parameters, config, prefix, spread_, dropout_)),
        norm_(add_norm(parameters, config, prefix, spread_)) {}
  Encoder(Encoder const&) = delete;
  Encoder& operator=(Encoder const&) = delete;

  TransformerConfig const& config() const { return config_; }

  /// Which batch the passes that follow are of: says what dropout drops. Those with the same numbers drop the same.
  void begin_batch(Index step, Index batch) { dropout_.begin_batch(step, batch); }

  /// Whether ranks have own rows at all.
  bool divides_rows() const { return Spread::divides_rows && spread_.locations().group.size() > 1; }
  /// Which of [images * locations] rows are this rank's.
  SharedLocations own_locations(Index rows, Index images) {
    if (!divides_rows()) return {Communicator(), images, Shares::even(rows / images, 1)};
    spread_.begin(rows, images);
    return spread_.locations();
  }
  /// Room for the own rows of x: x itself where these are all, else pushed.
  Rows own_rows(Context<Space> const& context, Rows x, Index images) {
    if (!divides_rows()) return x;
    return context.workspace().template push<T**>(own_locations(x.rows, images).own_rows(), x.columns);
  }

  /// x [images * locations, embed], rows by image, becomes norm(blocks(x)). What is kept stays on the workspace until
  /// backward.
  void forward(Context<Space> const& context, Rows x, Index images) {
    whole_mark_ = context.workspace().mark();
    own_ = take(context, x, images);
    forward(context, own_, x, images);
  }
  void evaluate(Context<Space> const& context, Rows x, Index images) {
    auto scope = context.workspace().scope();
    evaluate(context, take(context, x, images), x, images);
  }
  /// g, the gradient of the result, becomes that of the input; the gradients of all parameters are added to.
  void backward(Context<Space> const& context, Rows g) {
    Rows const own = divides_rows() ? own_ : g;
    backward(context, g, own);
    finish(context, own, g);
    context.workspace().release(whole_mark_);
  }

  /// From own rows, which are used up, to whole x, which may be the same.
  void forward(Context<Space> const& context, Rows own, Rows x, Index images) {
    Phase const phase("dchag::encoder::forward");
    begin(own, x, images);
    mark_ = context.workspace().mark();
    dropout_.begin_pass(true, x.rows);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      auto const use = this->use(context, i, Pass::forward);
      blocks_[i].forward(context, own, images);
    }
    auto const use = this->use(context, blocks_.size(), Pass::forward);
    norm_.forward(context, own, own);
    finish(context, own, x);
  }

  /// The same, keeping nothing.
  void evaluate(Context<Space> const& context, Rows own, Rows x, Index images) {
    Phase const phase("dchag::encoder::evaluate");
    begin(own, x, images);
    dropout_.begin_pass(false, x.rows);
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      auto const use = this->use(context, i, Pass::forward);
      auto scope = context.workspace().scope();
      blocks_[i].forward(context, own, images);
    }
    auto const use = this->use(context, blocks_.size(), Pass::forward);
    auto scope = context.workspace().scope();
    norm_.forward(context, own, own);
    finish(context, own, x);
  }

  /// From the whole gradient of the result of the latest forward to that of the own rows, which may be the same; the
  /// gradients of all parameters are added to.
  void backward(Context<Space> const& context, Rows g, Rows own) {
    Phase const phase("dchag::encoder::backward");
    if (divides_rows()) layers::take_locations(context, spread_.locations(), g, own);
    {
      auto const use = this->use(context, blocks_.size(), Pass::backward);
      norm_.backward(context, own, own);
    }
    for (std::size_t i = blocks_.size(); i-- > 0;) {
      auto const use = this->use(context, i, Pass::backward);
      blocks_[i].backward(context, own);
    }
    context.workspace().release(mark_);
  }

 private:
  using Spread = layers::Spread<Strategy>;

  /// Of the i-th block, or of the norm behind the last one.
  UnitUse<Space> use(Context<Space> const& context, std::size_t i, Pass pass) const {
    return parameters_->use(context, first_unit_ + static_cast<Index>(i), pass);
  }

  Rows take(Context<Space> const& context, Rows x, Index images) {
    check(x, images);
    Rows const own = own_rows(context, x, images);
    if (divides_rows()) layers::take_locations(context, spread_.locations(), x, own);
    return own;
  }
  void begin(Rows own, Rows x, Index images) {
    check(x, images);
    spread_.begin(x.rows, images);
    Index const rows = divides_rows() ? spread_.locations().own_rows() : x.rows;
    require(own.rows == rows && own.columns == x.columns, "encoder: ", own.rows, " own rows of ", own.columns,
            " numbers, expected ", rows, " of ", x.columns);
  }
  /// x = the rows of all ranks.
  void finish(Context<Space> const& context, Rows own, Rows x) const {
    if (divides_rows()) layers::gather_locations(context, spread_.locations(), own, x);
  }

  void check(Rows const& x, Index images) const {
    require(x.columns == config_.embed && x.stride == x.columns, "encoder: rows of ", x.columns,
            " numbers at a distance of ", x.stride, " where embed = ", config_.embed,
            " is expected: give it whole rows of that width");
    require(images > 0 && x.rows % images == 0, "encoder: ", x.rows,
            " rows are not a whole number of locations for each of ", images, " images");
  }
  static TransformerConfig const& checked(TransformerConfig const& config, std::string const& prefix) {
    config.check(prefix);
    return config;
  }
  static std::deque<Block> add_blocks(Parameters<T, Space>& parameters, TransformerConfig const& config,
                                      std::string const& prefix, Spread const& spread, layers::Dropout const& dropout) {
    spread.check(config.heads, config.embed, prefix);
    std::deque<Block> blocks;
    for (Index i = 0; i < config.depth; ++i) {
      std::string const name = prefix + "blocks." + std::to_string(i);
      parameters.begin_unit(name);
      blocks.emplace_back(parameters, name, config.embed, config.heads, config.hidden(), spread, dropout);
    }
    return blocks;
  }
  static layers::LayerNorm<T, Space> add_norm(Parameters<T, Space>& parameters, TransformerConfig const& config,
                                              std::string const& prefix, Spread const& spread) {
    parameters.begin_unit(prefix + "norm");
    return {parameters, prefix + "norm", config.embed, spread.everywhere()};
  }

  TransformerConfig config_;
  Spread spread_;
  layers::Dropout dropout_;
  Parameters<T, Space> const* parameters_;
  Index first_unit_;
  std::deque<Block> blocks_;
  layers::LayerNorm<T, Space> norm_;
  std::size_t mark_ = 0, whole_mark_ = 0;
  Rows own_{nullptr, 0, 0};  // where whole rows were given and rows are divided: the residual stream
};

}  // namespace dchag
