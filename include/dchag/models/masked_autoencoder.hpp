#pragma once

#include <algorithm>
#include <dchag/channels/front_end.hpp>
#include <dchag/layers/linear.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/models/masked_rows.hpp>
#include <dchag/models/patch_rows.hpp>
#include <dchag/models/positions.hpp>
#include <dchag/models/settings.hpp>
#include <dchag/parallel/shard.hpp>
#include <string>
#include <vector>

namespace dchag {

struct MaskedAutoencoderConfig {
  Index channels = 0;
  Index height = 0, width = 0, patch = 0;  // pixels; patch divides both
  Index embed = 0, heads = 0, depth = 0;
  double mlp_ratio = 4;
  double mask_ratio = 0.75;  // share of the locations that are hidden
  TransformerConfig decoder{.embed = 128, .heads = 8, .depth = 2};
  // What the channels are, in the order of the images; empty: they have no names.
  std::vector<Channel> channel_list{};

  Index locations() const { return (height / patch) * (width / patch); }
  Index kept() const { return locations() - static_cast<Index>(mask_ratio * static_cast<double>(locations())); }

  /// As JSON; with the tree it is what a checkpoint's "dchag.config" holds.
  Json json() const {
    Json json{{"task", "masked_autoencoder"},
              {"channels", channels},
              {"height", height},
              {"width", width},
              {"patch", patch},
              {"embed", embed},
              {"heads", heads},
              {"depth", depth},
              {"mlp_ratio", mlp_ratio},
              {"mask_ratio", mask_ratio},
              {"decoder",
               {{"embed", decoder.embed},
                {"heads", decoder.heads},
                {"depth", decoder.depth},
                {"mlp_ratio", decoder.mlp_ratio}}}};
    if (!channel_list.empty()) json["channel_list"] = channels_json(channel_list);
    return json;
  }
  /// Throws Error where a field is absent or of the wrong kind; other fields are passed over.
  static MaskedAutoencoderConfig from(Json const& json) {
    auto const size = [](Json const& owner, char const* field) { return json_get<Index>(owner, field); };
    auto const number = [](Json const& owner, char const* field) { return json_get<double>(owner, field); };
    Json const& inner = json_at(json, "decoder");
    return {size(json, "channels"),
            size(json, "height"),
            size(json, "width"),
            size(json, "patch"),
            size(json, "embed"),
            size(json, "heads"),
            size(json, "depth"),
            number(json, "mlp_ratio"),
            number(json, "mask_ratio"),
            {size(inner, "embed"), size(inner, "heads"), size(inner, "depth"), number(inner, "mlp_ratio")},
            channels_from(json, "channel_list")};
  }
};

/// Reconstructs all channels at hidden locations from the visible ones (masked autoencoding, arXiv 2111.06377). The
/// locations are chosen first: hidden ones are neither tokenized nor aggregated. The loss is the mean squared error
/// over hidden locations: of each image over the channels that it has, then over the images.
template <Policy... Policies>
requires OnePolicyPerRole<Policies...>
class MaskedAutoencoder {
  using Set = Settings<Policies...>;

 public:
  using Scalar = typename Set::Scalar;
  using Space = typename Set::Space;
  using Config = MaskedAutoencoderConfig;

  /// Views that the caller keeps alive until the kernels of the call that they are given to are done: on a device,
  /// until the context's fence(). A Trainer waits for them.
  struct Batch {
    View<Scalar const****, Space> images;  // [B, own channels, height, width]: see own_channels()
    View<Index const**, Space> keep;       // [B, kept], the visible locations of each image, all different
    // [B, channels of all ranks], the same on every rank: zero where an image lacks a channel, whose memory may then be
    // anything, NaN too. None: no image lacks any. A Trainer is told by plan() that such batches will come.
    View<unsigned char const**, Space> present{};

    Index size() const { return static_cast<Index>(images.extent(0)); }
    std::size_t bytes() const { return detail::bytes_of_views(images, keep, present); }
  };

  /// Every rank of the mesh builds it with the same arguments. Throws Error where sizes do not fit.
  MaskedAutoencoder(Mesh const& mesh, Config const& config, BuildOptions options = {})
      : mesh_(mesh),
        config_(config),
        front_end_(
            begin(parameters_, "front_end"), grid(), config.embed, config.heads, mesh.model(),
            channels::owners_of<typename Set::Partition>(config.channels, options.channel_costs, mesh.model().size()),
            Set::delivery),
        position_(&parameters_.add("pos_embed", {1, grid().locations(), config.embed}, normal(0.02),
                                   front_end_.delivers_own_rows() ? Placement::summed() : Placement{})),
        encoder_(parameters_, {config.embed, config.heads, config.depth, config.mlp_ratio}, "", mesh.model()),
        decoder_embed_(begin(parameters_, "decoder"), "decoder_embed", config.embed, config.decoder.embed),
        mask_token_(&parameters_.add("mask_token", {1, 1, config.decoder.embed}, normal(0.02))),
        decoder_position_(
            &parameters_.add("decoder.pos_embed", {1, grid().locations(), config.decoder.embed}, normal(0.02))),
        decoder_(parameters_, config.decoder, "decoder.", mesh.model()),
        prediction_(begin(parameters_, "head"), "decoder_pred", config.decoder.embed, config.channels * grid().pixels(),
                    predicted()) {
    require(config.mask_ratio >= 0 && config.mask_ratio < 1, "mask_ratio = ", config.mask_ratio,
            ": expected 0 <= mask_ratio < 1");
    require(config.kept() < grid().locations(), "mask_ratio = ", config.mask_ratio, " hides none of ",
            grid().locations(), " locations: use a larger ratio or a smaller patch");
    check_channel_list("channel_list", config.channel_list, config.channels);
    front_end_.name_channels(detail::names_of(config.channel_list));
    detail::check_same_model(mesh, detail::configuration<typename Set::Tree>(config_), options);
    shard<typename Set::Parallel::Shard>(parameters_, mesh_);
    if (!options.storage) {
      parameters_.plan();
      return;
    }
    parameters_.allocate(options.seed);
    detail::set_positions(*position_, config.height / config.patch, config.width / config.patch);
    detail::set_positions(*decoder_position_, config.height / config.patch, config.width / config.patch);
  }
  MaskedAutoencoder(MaskedAutoencoder const&) = delete;

  Config const& config() const { return config_; }
  std::string config_json() const { return dump_json(detail::configuration<typename Set::Tree>(config_)); }
  Parameters<Scalar, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }
  channels::PatchGrid grid() const { return {config_.channels, config_.height, config_.width, config_.patch}; }

  /// The channels whose images this rank reads, ascending: all of them where the mesh has one model rank.
  std::vector<Index> const& own_channels() const { return front_end_.own_channels(); }

  /// The loss of a batch; adds weight times its gradient to the parameters' gradients. The workspace is left as it was.
  double gradients(Context<Space> const& given, Batch const& batch, double weight) {
    Context<Space> const context = given.with(Set::Precision::products);
    check(batch);
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    Index const images = batch.size(), locations = grid().locations(), kept = config_.kept(), hidden = locations - kept;
    Sorted const sorted = sort(context, batch);
    Rows const full = workspace.template push<Scalar**>(images * locations, config_.decoder.embed);
    auto const where = encoder_.own_locations(images * kept, images);
    {
      auto const use = this->use(context, *position_, Pass::forward);
      front_end_.forward(context, batch.images.data(), batch.keep.data(), kept, images, batch.present, where);
    }
    Rows const x = workspace.template push<Scalar**>(images * kept, config_.embed);
    Rows const own = encoder_.own_rows(context, x, images);
    add_position(context, batch.keep.data(), where.rows(), own);
    encoder_.forward(context, own, x, images);
    decode_input(context, images, sorted, x, full);
    decoder_.forward(context, full, images);
    double loss = 0;
    {
      auto inner = workspace.scope();
      Rows const rows = workspace.template push<Scalar**>(images * hidden, config_.decoder.embed);
      detail::hidden_rows(context, images, locations, hidden, rows.columns, sorted.hidden, full.data, rows.data, false);
      double const slope = 2 * weight / static_cast<double>(images * hidden * grid().pixels() * config_.channels);
      loss = reconstruct(context, batch, sorted, slope, rows, true);
      front_end_.group().all_reduce(context, reshape<Scalar*, Space>(rows.data, rows.rows * rows.columns));
      detail::hidden_rows(context, images, locations, hidden, rows.columns, sorted.hidden, full.data, rows.data, true);
    }
    decoder_.backward(context, full);
    {
      auto inner = workspace.scope();
      auto const use = this->use(context, *mask_token_, Pass::backward);
      Rows const visible = workspace.template push<Scalar**>(images * kept, config_.decoder.embed);
      detail::pull_fill_in(context, images, locations, config_.decoder.embed, sorted.slot,
                           static_cast<Scalar const*>(full.data), visible.data, mask_token_->gradients,
                           decoder_position_->gradients);
      decoder_embed_.backward(context, x, visible, x);
    }
    encoder_.backward(context, x, own);
    auto const use = this->use(context, *position_, Pass::backward);
    detail::pull_kept_position(context, images, where.rows(), locations, config_.embed, sorted.slot,
                               static_cast<Scalar const*>(own.data), position_->gradients);
    channels::tiles_from_rows(context, front_end_.tiling(), config_.embed, static_cast<Scalar const*>(own.data),
                              front_end_.out());
    front_end_.backward(context, front_end_.out());
    return loss;
  }

  /// The loss of a batch, by a forward pass alone.
  double evaluate(Context<Space> const& given, Batch const& batch) {
    Context<Space> const context = given.with(Set::Precision::products);
    check(batch);
    auto scope = context.workspace().scope();
    Index const images = batch.size(), hidden = grid().locations() - config_.kept();
    Sorted const sorted = sort(context, batch);
    Rows const full = decode(context, batch, sorted);
    Rows const rows = context.workspace().template push<Scalar**>(images * hidden, config_.decoder.embed);
    detail::hidden_rows(context, images, grid().locations(), hidden, rows.columns, sorted.hidden, full.data, rows.data,
                        false);
    return reconstruct(context, batch, sorted, 0.0, rows, false);
  }

  /// The reconstruction [B, own channels, height, width] of all locations, visible ones too, and of all channels, those
  /// too that an image lacks.
  void predict(Context<Space> const& given, Batch const& batch, View<Scalar****, Space> const& prediction) {
    Context<Space> const context = given.with(Set::Precision::products);
    check(batch);
    detail::check_images("prediction", prediction, batch.size(), own_grid().channels, config_.height, config_.width);
    auto scope = context.workspace().scope();
    Index const images = batch.size(), rows = images * grid().locations();
    Rows const pixels = context.workspace().template push<Scalar**>(rows, prediction_.out());
    Sorted const sorted = sort(context, batch);
    forward_prediction(context, decode(context, batch, sorted), pixels);
    detail::rows_to_images(context, own_grid(), images, pixels.data, prediction.data(), false);
  }

  /// The encoder's answer [B, locations, embed], on every rank, to whole images [B, own channels, height, width], of
  /// which `present` says what they lack, as in a Batch.
  void features(Context<Space> const& given, View<Scalar const****, Space> const& images,
                View<Scalar***, Space> const& out, View<unsigned char const**, Space> const& present = {}) {
    Context<Space> const context = given.with(Set::Precision::products);
    auto scope = context.workspace().scope();
    Index const count = static_cast<Index>(images.extent(0)), locations = grid().locations();
    detail::check_images("images", images, count, own_grid().channels, config_.height, config_.width);
    require(static_cast<Index>(out.extent(0)) == count && static_cast<Index>(out.extent(1)) == locations &&
                static_cast<Index>(out.extent(2)) == config_.embed,
            "features: out is [", out.extent(0), ", ", out.extent(1), ", ", out.extent(2), "], expected [", count, ", ",
            locations, ", ", config_.embed, "]");
    detail::check_present(present, count, config_.channels);
    evaluate_encoder(context, images.data(), nullptr, present, locations, count,
                     Rows(out.data(), count * locations, config_.embed));
  }

  /// The front end's choices, for reports.
  auto& front_end() { return front_end_; }

 private:
  using Rows = linalg::Matrix<Scalar>;
  struct Sorted {
    Index *slot, *hidden;
  };

  static Parameters<Scalar, Space>& begin(Parameters<Scalar, Space>& parameters, char const* unit) {
    parameters.begin_unit(unit);
    return parameters;
  }

  channels::PatchGrid const& own_grid() const { return front_end_.grid(); }

  /// The pixels that this rank predicts are those of its channels: of [P, channels, features] some channels.
  layers::LinearShare predicted() const {
    auto const& own = front_end_.own_channels();
    Index const out = static_cast<Index>(own.size()) * grid().pixels();
    if (front_end_.group().size() == 1) return {config_.decoder.embed, out};
    auto const ranges = channels::ranges_of(own);
    return {config_.decoder.embed, out,
            Placement::divided(grid().pixels(), config_.channels, config_.decoder.embed, ranges),
            Placement::divided(grid().pixels(), config_.channels, 1, ranges)};
  }

  /// Rows of the decoder whose pixels are predicted at a time: on the host, what stays in its last cache.
  Index rows_at_once(Index rows) const {
    constexpr Index bytes = Index{1} << 23;
    if (!Pieces::of<Space>().host) return rows;
    Index const row =
        std::max<Index>(1, prediction_.out() * static_cast<Index>(sizeof(Scalar)));  // 0: no channels here
    Index const most = std::max<Index>(64, bytes / row);
    return ceil_div(rows, std::max<Index>(1, ceil_div(rows, most)));
  }

  /// The mean squared error over hidden locations and all channels, of what is predicted from the decoder's rows there
  /// [B hidden, decoder.embed]; see reconstruction_error. `backward` makes the rows their gradient, and adds those of
  /// the parameters. The pixels of all rows are nowhere at once.
  double reconstruct(Context<Space> const& context, Batch const& batch, Sorted const& sorted, double slope, Rows rows,
                     bool backward) const {
    Index const hidden = grid().locations() - config_.kept(), step = rows_at_once(rows.rows);
    auto scope = context.workspace().scope();
    Scalar const* const shares = detail::channel_shares<Scalar>(context, batch.present, own_grid().channels,
                                                                front_end_.own_channels_on_device());
    Rows const room = context.workspace().template push<Scalar**>(step, prediction_.out());
    double own = 0;
    // Both passes go on side by side: the forward one is a use of the unit too, which is then in place for the other.
    if (backward) {
      auto const forward = this->use(context, prediction_.weight(), Pass::forward);
    }
    auto const use = this->use(context, prediction_.weight(), backward ? Pass::backward : Pass::forward);
    for (Index first = 0; first < rows.rows; first += step) {
      Index const count = std::min(step, rows.rows - first);
      Rows const some = rows.rows_at(first, count), pixels = room.rows_at(0, count);
      prediction_.forward(context, some, pixels);
      own += static_cast<double>(count) / static_cast<double>(rows.rows) *
             detail::reconstruction_error(context, own_grid(), count, hidden, sorted.hidden, batch.images.data(), slope,
                                          pixels.data, shares, first);
      if (backward) prediction_.backward(context, some, pixels, some);
    }
    if ((context.dry() && context.work() == nullptr) || front_end_.group().size() == 1) return own;
    return front_end_.group().all_reduce(own * static_cast<double>(own_grid().channels)) /
           static_cast<double>(config_.channels);
  }

  void check(Batch const& batch) const {
    detail::check_present(batch.present, batch.size(), config_.channels);
    detail::check_images("images", batch.images, batch.size(), own_grid().channels, config_.height, config_.width);
    require(static_cast<Index>(batch.keep.extent(0)) == batch.size() &&
                static_cast<Index>(batch.keep.extent(1)) == config_.kept(),
            "batch: keep is [", batch.keep.extent(0), ", ", batch.keep.extent(1), "], expected [", batch.size(), ", ",
            config_.kept(), "]: mask_ratio = ", config_.mask_ratio, " of ", grid().locations(), " locations");
  }

  Sorted sort(Context<Space> const& context, Batch const& batch) const {
    Index const images = batch.size(), locations = grid().locations(), kept = config_.kept();
    Sorted const sorted{context.workspace().template push<Index*>(images * locations).data(),
                        context.workspace().template push<Index*>(images * (locations - kept)).data()};
    Index const wrong =
        detail::sort_locations(context, images, locations, kept, batch.keep.data(), sorted.slot, sorted.hidden);
    require(wrong == 0, "batch: ", wrong, " entries of keep are no location from 0 to ", locations - 1,
            ", or one that is there twice: name the visible locations of each image, all different");
    return sorted;
  }

  UnitUse<Space> use(Context<Space> const& context, Parameter<Scalar, Space> const& of_unit, Pass pass) const {
    return parameters_.use(context, of_unit.unit, pass);
  }
  void forward_prediction(Context<Space> const& context, Rows rows, Rows pixels) const {
    auto const use = this->use(context, prediction_.weight(), Pass::forward);
    prediction_.forward(context, rows, pixels);
  }
  void add_position(Context<Space> const& context, Index const* keep, OwnRows const& rows, Rows own) const {
    auto const use = this->use(context, *position_, Pass::forward);
    channels::rows_from_tiles(
        context, front_end_.tiling(), config_.embed, static_cast<Scalar const*>(front_end_.out()),
        detail::PositionOfKept<Scalar>{position_->values, keep, grid().locations(), config_.embed, rows}, own.data);
  }
  /// x [images * per_image, embed], the encoder's answer on every rank, keeping nothing.
  void evaluate_encoder(Context<Space> const& context, Scalar const* pixels, Index const* keep,
                        View<unsigned char const**, Space> const& present, Index per_image, Index images, Rows x) {
    auto scope = context.workspace().scope();
    Rows const own = encoder_.own_rows(context, x, images);
    {
      auto inner = context.workspace().scope();
      auto const where = encoder_.own_locations(x.rows, images);
      auto const use = this->use(context, *position_, Pass::forward);
      front_end_.evaluate(context, pixels, keep, per_image, images, present, where);
      add_position(context, keep, where.rows(), own);
    }
    encoder_.evaluate(context, own, x, images);
  }

  /// What the decoder sees: projected encoder rows x at visible locations, the mask token elsewhere, and positions.
  void decode_input(Context<Space> const& context, Index images, Sorted const& sorted, Rows x, Rows full) const {
    auto scope = context.workspace().scope();
    auto const use = this->use(context, *mask_token_, Pass::forward);
    Rows const visible = context.workspace().template push<Scalar**>(x.rows, config_.decoder.embed);
    decoder_embed_.forward(context, x, visible);
    detail::fill_in(context, images, grid().locations(), config_.decoder.embed, sorted.slot,
                    static_cast<Scalar const*>(visible.data), static_cast<Scalar const*>(mask_token_->values),
                    static_cast<Scalar const*>(decoder_position_->values), full.data);
  }

  /// The decoder's rows [B L, decoder.embed], pushed on the workspace.
  Rows decode(Context<Space> const& context, Batch const& batch, Sorted const& sorted) {
    Index const images = batch.size();
    Rows const full = context.workspace().template push<Scalar**>(images * grid().locations(), config_.decoder.embed);
    auto scope = context.workspace().scope();
    Rows const x = context.workspace().template push<Scalar**>(images * config_.kept(), config_.embed);
    evaluate_encoder(context, batch.images.data(), batch.keep.data(), batch.present, config_.kept(), images, x);
    decode_input(context, images, sorted, x, full);
    decoder_.evaluate(context, full, images);
    return full;
  }

  Mesh mesh_;
  Config config_;
  Parameters<Scalar, Space> parameters_;
  FrontEnd<Scalar, Space, typename Set::Tree, typename Set::Order, Set::Recompute::front_end, typename Set::Join,
           typename Set::Missing>
      front_end_;
  Parameter<Scalar, Space>* position_;
  Encoder<Scalar, Space, Set::Recompute::blocks, typename Set::Parallel::Model> encoder_;
  layers::Linear<Scalar, Space> decoder_embed_;
  Parameter<Scalar, Space>*mask_token_, *decoder_position_;
  Encoder<Scalar, Space, Set::Recompute::blocks, typename Set::Parallel::Model> decoder_;
  layers::Linear<Scalar, Space> prediction_;
};

}  // namespace dchag
