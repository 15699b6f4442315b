#pragma once

#include <dchag/channels/front_end.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/models/head.hpp>
#include <dchag/models/patch_rows.hpp>
#include <dchag/models/positions.hpp>
#include <dchag/models/settings.hpp>
#include <dchag/parallel/shard.hpp>
#include <dchag/training/loss.hpp>
#include <string>
#include <vector>

namespace dchag {

struct ForecasterConfig {
  Index channels = 0, out_channels = 0;
  Index height = 0, width = 0, patch = 0;  // pixels; patch divides both
  Index embed = 0, heads = 0, depth = 0;
  double mlp_ratio = 4;
  Index decoder_depth = 2;  // Linear + GELU layers of the head before its last Linear
  // What the channels of images and forecasts are, in their order; empty: they have no names.
  std::vector<Channel> channel_list{}, out_channel_list{};

  /// As JSON; with the tree it is what a checkpoint's "dchag.config" holds.
  Json::Object json() const {
    Json::Object fields{{"task", "forecast"},
                        {"channels", channels},
                        {"out_channels", out_channels},
                        {"height", height},
                        {"width", width},
                        {"patch", patch},
                        {"embed", embed},
                        {"heads", heads},
                        {"depth", depth},
                        {"mlp_ratio", mlp_ratio},
                        {"decoder_depth", decoder_depth}};
    detail::add_channels(fields, "channel_list", channel_list);
    detail::add_channels(fields, "out_channel_list", out_channel_list);
    return fields;
  }
  /// Throws Error where a field is absent or of the wrong kind; other fields are passed over.
  static ForecasterConfig from(Json const& json) {
    auto const size = [&](char const* field) { return json.get<Index>(field); };
    ForecasterConfig config{size("channels"),     size("out_channels"), size("height"),
                            size("width"),        size("patch"),        size("embed"),
                            size("heads"),        size("depth"),        json.get<double>("mlp_ratio"),
                            size("decoder_depth")};
    config.channel_list = channels_from(json, "channel_list");
    config.out_channel_list = channels_from(json, "out_channel_list");
    return config;
  }
};

namespace detail {

/// What is added to token (n, e) of a rank's own rows: the position, and the lead time of its image through one linear
/// layer.
template <class T>
struct PositionAndLead {
  T const *position, *weight, *bias, *lead_time;  // [L, D], [D], [D], [B]
  Index locations, embed;
  OwnRows rows;

  KOKKOS_FUNCTION T operator()(Index own, Index e) const {
    Index const n = rows.row(own);
    return position[n % locations * embed + e] + lead_time[n / locations] * weight[e] + bias[e];
  }
};

/// The gradients of PositionAndLead's parameters from that of the tokens [own rows, D].
template <class T, class Space>
void pull_position_and_lead(Context<Space> const& context, Index images, OwnRows const& rows, Index locations,
                            Index embed, T const* gradient, T const* lead_time, T* position, T* weight, T* bias) {
  context.loop(
      "dchag::forecaster::position", locations * embed, KOKKOS_LAMBDA(Index at) {
        T sum = 0;
        for (Index b = 0; b < images; ++b) {
          Index const own = rows.find(b * locations + at / embed);
          if (own >= 0) sum += gradient[own * embed + at % embed];
        }
        position[at] += sum;
      });
  context.loop(
      "dchag::forecaster::lead", embed, KOKKOS_LAMBDA(Index e) {
        T total = 0, weighted = 0;
        for (Index b = 0; b < images; ++b) {
          T sum = 0;
          for (Index own = rows.before(b * locations); own < rows.before((b + 1) * locations); ++own)
            sum += gradient[own * embed + e];
          total += sum;
          weighted += lead_time[b] * sum;
        }
        bias[e] += total;
        weight[e] += weighted;
      });
}

}  // namespace detail

/// Forecasts out_channels fields from the channels of an image and a lead time (the ClimaX task): channel front end,
/// position and lead-time embedding, transformer, head. The loss is the mean squared error weighted by the cosine of
/// latitude.
template <Policy... Policies>
requires OnePolicyPerRole<Policies...>
class Forecaster {
  using Set = Settings<Policies...>;

 public:
  using Scalar = typename Set::Scalar;
  using Space = typename Set::Space;
  using Config = ForecasterConfig;

  /// Views that the caller keeps alive until the kernels of the call that they are given to are done: on a device,
  /// until the context's fence(). A Trainer waits for them.
  struct Batch {
    View<Scalar const****, Space> images;  // [B, own channels, height, width]: see own_channels()
    View<Scalar const****, Space> target;  // [B, out_channels, height, width]; not read by predict()
    View<Scalar const*, Space> lead_time;  // [B]
    // [B, channels of all ranks], the same on every rank: zero where an image lacks a channel, whose memory may then be
    // anything, NaN too. None: no image lacks any. A Trainer is told by plan() that such batches will come.
    View<unsigned char const**, Space> present{};

    Index size() const { return static_cast<Index>(images.extent(0)); }
  };

  /// Every rank of the mesh builds it with the same arguments. Throws Error where sizes do not fit.
  Forecaster(Mesh const& mesh, Config const& config, BuildOptions options = {})
      : mesh_(mesh),
        config_(checked(config)),
        front_end_(
            begin(parameters_), grid(), config.embed, config.heads, mesh.model(),
            channels::owners_of<typename Set::Partition>(config.channels, options.channel_costs, mesh.model().size()),
            Set::delivery),
        position_(&parameters_.add("pos_embed", {1, grid().locations(), config.embed}, normal(0.02), of_rows())),
        lead_weight_(&parameters_.add("lead_time_embed.weight", {config.embed, 1}, normal(0.02), of_rows())),
        lead_bias_(&parameters_.add("lead_time_embed.bias", {config.embed}, constant(0), of_rows())),
        encoder_(parameters_, {config.embed, config.heads, config.depth, config.mlp_ratio}, "", mesh.model()),
        head_(parameters_, config.embed, config.decoder_depth, config.out_channels * grid().pixels()),
        latitudes_("dchag::latitudes", static_cast<std::size_t>(config.height)) {
    front_end_.name_channels(detail::names_of(config.channel_list));
    detail::check_same_model(mesh, config_json(), options);
    auto const host = Kokkos::create_mirror_view(latitudes_);
    std::vector<double> const weights = latitude_weights(config.height);
    for (std::size_t row = 0; row < weights.size(); ++row) host(row) = static_cast<Scalar>(weights[row]);
    Kokkos::deep_copy(latitudes_, host);
    if (!options.storage) return;
    shard<typename Set::Parallel::Shard>(parameters_, mesh_);
    parameters_.allocate(options.seed);
    detail::set_positions(*position_, config.height / config.patch, config.width / config.patch);
  }
  Forecaster(Forecaster const&) = delete;

  Config const& config() const { return config_; }
  std::string config_json() const {
    Json::Object json = config_.json();
    json.emplace_back("tree", detail::tree_json<typename Set::Tree>());
    return Json(std::move(json)).dump();
  }
  Parameters<Scalar, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }
  channels::PatchGrid grid() const { return {config_.channels, config_.height, config_.width, config_.patch}; }

  /// The channels whose images this rank reads, ascending: all of them where the mesh has one model rank. Targets have
  /// all fields on every rank.
  std::vector<Index> const& own_channels() const { return front_end_.own_channels(); }

  /// The loss of a batch; adds weight times its gradient to the parameters' gradients. The workspace is left as it was.
  double gradients(Context<Space> const& context, Batch const& batch, double weight) {
    check_inputs(batch);
    check_target(batch);
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    Index const images = batch.size(), rows = images * grid().locations();
    Rows const pixels = workspace.template push<Scalar**>(rows, head_.out());
    auto const prediction = push_images(context, images);
    auto const where = encoder_.own_locations(rows, images);
    {
      auto const use = use_front_end(context, Pass::forward);
      front_end_.forward(context, batch.images.data(), nullptr, grid().locations(), images, batch.present, where);
    }
    Rows const x = workspace.template push<Scalar**>(rows, config_.embed);
    Rows const own = encoder_.own_rows(context, x, images);
    embed(context, batch, where.rows(), own);
    encoder_.forward(context, own, x, images);
    head_.forward(context, x, pixels);
    detail::rows_to_images(context, out_grid(), images, pixels.data, prediction.data(), false);
    double const loss = latitude_weighted_mse(context, prediction, batch.target, latitudes(), weight, prediction);
    detail::rows_to_images(context, out_grid(), images, pixels.data, prediction.data(), true);

    head_.backward(context, x, pixels, x);
    encoder_.backward(context, x, own);
    auto const use = use_front_end(context, Pass::backward);
    detail::pull_position_and_lead(context, images, where.rows(), grid().locations(), config_.embed,
                                   static_cast<Scalar const*>(own.data), batch.lead_time.data(), position_->gradients,
                                   lead_weight_->gradients, lead_bias_->gradients);
    channels::tiles_from_rows(context, front_end_.tiling(), config_.embed, static_cast<Scalar const*>(own.data),
                              front_end_.out());
    front_end_.backward(context, front_end_.out());
    return loss;
  }

  /// The loss of a batch, by a forward pass alone.
  double evaluate(Context<Space> const& context, Batch const& batch) {
    check_target(batch);
    auto scope = context.workspace().scope();
    auto const prediction = push_images(context, batch.size());
    predict(context, batch, prediction);
    return latitude_weighted_mse(context, prediction, batch.target, latitudes());
  }

  /// The forecast [B, out_channels, height, width].
  void predict(Context<Space> const& context, Batch const& batch, View<Scalar****, Space> const& prediction) {
    check_inputs(batch);
    detail::check_images("prediction", prediction, batch.size(), config_.out_channels, config_.height, config_.width);
    auto scope = context.workspace().scope();
    Index const images = batch.size(), rows = images * grid().locations();
    Rows const x = context.workspace().template push<Scalar**>(rows, config_.embed);
    Rows const own = encoder_.own_rows(context, x, images);
    {
      auto inner = context.workspace().scope();
      auto const where = encoder_.own_locations(rows, images);
      auto const use = use_front_end(context, Pass::forward);
      front_end_.evaluate(context, batch.images.data(), nullptr, grid().locations(), images, batch.present, where);
      embed(context, batch, where.rows(), own);
    }
    encoder_.evaluate(context, own, x, images);
    Rows const pixels = context.workspace().template push<Scalar**>(rows, head_.out());
    head_.forward(context, x, pixels);
    detail::rows_to_images(context, out_grid(), images, pixels.data, prediction.data(), false);
  }

  /// The front end's choices, for reports.
  auto& front_end() { return front_end_; }

 private:
  using Rows = linalg::Matrix<Scalar>;

  static Config const& checked(Config const& config) {
    require(config.out_channels > 0, "out_channels = ", config.out_channels, ": a forecast has at least one field");
    check_channel_list("channel_list", config.channel_list, config.channels);
    check_channel_list("out_channel_list", config.out_channel_list, config.out_channels);
    require(config.decoder_depth >= 0, "decoder_depth = ", config.decoder_depth, ": give the layers of the head, or 0");
    return config;
  }
  static Parameters<Scalar, Space>& begin(Parameters<Scalar, Space>& parameters) {
    parameters.begin_unit("front_end");
    return parameters;
  }
  channels::PatchGrid out_grid() const { return {config_.out_channels, config_.height, config_.width, config_.patch}; }
  View<Scalar const*, Space> latitudes() const { return latitudes_; }
  View<Scalar****, Space> push_images(Context<Space> const& context, Index images) const {
    return context.workspace().template push<Scalar****>(images, config_.out_channels, config_.height, config_.width);
  }

  UnitUse<Space> use_front_end(Context<Space> const& context, Pass pass) const {
    return parameters_.use(context, position_->unit, pass);
  }
  /// The sharing of what is added to the front end's rows.
  Placement of_rows() const { return front_end_.delivers_own_rows() ? Placement::summed() : Placement{}; }
  void embed(Context<Space> const& context, Batch const& batch, OwnRows const& rows, Rows own) const {
    auto const use = use_front_end(context, Pass::forward);
    detail::PositionAndLead<Scalar> const extra{position_->values,
                                                lead_weight_->values,
                                                lead_bias_->values,
                                                batch.lead_time.data(),
                                                grid().locations(),
                                                config_.embed,
                                                rows};
    channels::rows_from_tiles(context, front_end_.tiling(), config_.embed, static_cast<Scalar const*>(front_end_.out()),
                              extra, own.data);
  }

  void check_inputs(Batch const& batch) const {
    detail::check_present(batch.present, batch.size(), config_.channels);
    detail::check_images("images", batch.images, batch.size(), front_end_.grid().channels, config_.height,
                         config_.width);
    require(static_cast<Index>(batch.lead_time.extent(0)) == batch.size(), "batch: lead_time has ",
            batch.lead_time.extent(0), " values for ", batch.size(), " images: give one for each");
  }
  void check_target(Batch const& batch) const {
    detail::check_images("target", batch.target, batch.size(), config_.out_channels, config_.height, config_.width);
  }

  Mesh mesh_;
  Config config_;
  Parameters<Scalar, Space> parameters_;
  FrontEnd<Scalar, Space, typename Set::Tree, typename Set::Order, Set::Recompute::front_end, typename Set::Join,
           typename Set::Missing>
      front_end_;
  Parameter<Scalar, Space>*position_, *lead_weight_, *lead_bias_;
  Encoder<Scalar, Space, Set::Recompute::blocks, typename Set::Parallel::Model> encoder_;
  Head<Scalar, Space> head_;
  Kokkos::View<Scalar*, typename Space::device_type> latitudes_;
};

}  // namespace dchag
