#pragma once

#include <dchag/channels/front_end.hpp>
#include <dchag/core/loops.hpp>
#include <dchag/models/encoder.hpp>
#include <dchag/models/head.hpp>
#include <dchag/models/lead_times.hpp>
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
  // What rows count for in the loss, where the grid is not regular from pole to pole: at most one of the two.
  std::vector<double> latitudes{};    // [height], degrees, in either direction: a row counts by its cosine
  std::vector<double> row_weights{};  // [height], in any unit: Gaussian weights, say
  double dropout = 0;                 // of the blocks, in training: the share of elements that are zeroed

  /// As JSON; with the tree it is what a checkpoint's "dchag.config" holds.
  Json json() const {
    Json fields{{"task", "forecast"},
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
    if (!channel_list.empty()) fields["channel_list"] = channels_json(channel_list);
    if (!out_channel_list.empty()) fields["out_channel_list"] = channels_json(out_channel_list);
    if (!latitudes.empty()) fields["latitudes"] = latitudes;
    if (!row_weights.empty()) fields["row_weights"] = row_weights;
    if (dropout != 0) fields["dropout"] = dropout;
    return fields;
  }
  /// Throws Error where a field is absent or of the wrong kind; other fields are passed over.
  static ForecasterConfig from(Json const& json) {
    auto const size = [&](char const* field) { return json_get<Index>(json, field); };
    ForecasterConfig config{size("channels"),     size("out_channels"), size("height"),
                            size("width"),        size("patch"),        size("embed"),
                            size("heads"),        size("depth"),        json_get<double>(json, "mlp_ratio"),
                            size("decoder_depth")};
    config.channel_list = channels_from(json, "channel_list");
    config.out_channel_list = channels_from(json, "out_channel_list");
    config.latitudes = detail::numbers_of(json, "latitudes");
    config.row_weights = detail::numbers_of(json, "row_weights");
    config.dropout = json_get<double>(json, "dropout", 0);
    return config;
  }

  /// Weights of the rows in the loss, of mean one. Throws Error where what is given makes none for each row.
  std::vector<double> weights_of_rows() const {
    require(latitudes.empty() || row_weights.empty(),
            "latitudes and row_weights are both given: a row has one weight, give one of them");
    if (latitudes.empty() && row_weights.empty()) return latitude_weights(height);
    bool const cosines = row_weights.empty();
    auto const& given = cosines ? latitudes : row_weights;
    require(static_cast<Index>(given.size()) == height, cosines ? "latitudes" : "row_weights", " has ", given.size(),
            " values where height = ", height, ": give one for each row");
    return cosines ? weights_of_latitudes(latitudes) : dchag::row_weights(row_weights);
  }
};

/// Forecasts out_channels fields from the channels of an image and a lead time (the ClimaX task): channel front end,
/// position and lead-time embedding, transformer, head. An image may be forecast for several lead times at once: its
/// channels go through the front end once. The loss is the mean squared error weighted by the cosine of
/// latitude, or by the rows' weights of the configuration; with a batch's weights it is sum(weight row_weight error²) /
/// sum(weight row_weight) over the batch. Batches of a step and of replicas count alike, whatever their weights.
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
    View<Scalar const****, Space> target;  // [B * leads, out_channels, height, width]; not read by predict()
    View<Scalar const*, Space> lead_time;  // [B * leads]: as many for each image, all of the first image first
    // What targets count for in the loss, [B * leads or 1, out_channels or 1, height, width], finite and not negative:
    // targets of weight zero (land, fill values) may be anything, NaN too. None: all count alike.
    View<Scalar const****, Space> weight{};
    // [B, channels of all ranks], the same on every rank: zero where an image lacks a channel, whose memory may then be
    // anything, NaN too. None: no image lacks any. A Trainer is told by plan() that such batches will come.
    View<unsigned char const**, Space> present{};

    Index size() const { return static_cast<Index>(images.extent(0)); }
    std::size_t bytes() const { return detail::bytes_of_views(images, target, lead_time, weight, present); }
    Index forecasts() const { return static_cast<Index>(lead_time.extent(0)); }  // B * leads
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
        encoder_(parameters_, {config.embed, config.heads, config.depth, config.mlp_ratio}, "", mesh.model(),
                 {config.dropout, options.seed, mesh.replicas().rank()}),
        head_(parameters_, config.embed, config.decoder_depth, config.out_channels * grid().pixels()),
        row_weights_("dchag::row_weights", static_cast<std::size_t>(config.height)) {
    front_end_.name_channels(detail::names_of(config.channel_list));
    detail::check_same_model(mesh, detail::configuration<typename Set::Tree>(config_), options);
    auto const host = Kokkos::create_mirror_view(row_weights_);
    std::vector<double> const weights = config_.weights_of_rows();
    for (std::size_t row = 0; row < weights.size(); ++row) host(row) = static_cast<Scalar>(weights[row]);
    copy(Space(), row_weights_, host);
    Space().fence("dchag::row_weights");
    shard<typename Set::Parallel::Shard>(parameters_, mesh_);
    if (!options.storage) {
      parameters_.plan();
      return;
    }
    parameters_.allocate(options.seed);
    detail::set_positions(*position_, config.height / config.patch, config.width / config.patch);
  }
  Forecaster(Forecaster const&) = delete;

  Config const& config() const { return config_; }
  std::string config_json() const { return dump_json(detail::configuration<typename Set::Tree>(config_)); }
  Parameters<Scalar, Space>& parameters() { return parameters_; }
  Mesh const& mesh() const { return mesh_; }
  channels::PatchGrid grid() const { return {config_.channels, config_.height, config_.width, config_.patch}; }

  /// The channels whose images this rank reads, ascending: all of them where the mesh has one model rank. Targets have
  /// all fields on every rank.
  std::vector<Index> const& own_channels() const { return front_end_.own_channels(); }

  /// Says which numbers dropout draws for the batches that follow, until it is called again: a Trainer calls it.
  void begin_batch(Index step, Index batch) { encoder_.begin_batch(step, batch); }

  /// What rows count for in the loss, of mean one: [height]. For scores, see field_sums().
  View<Scalar const*, Space> row_weights() const { return row_weights_; }

  /// The loss of a batch; adds weight times its gradient to the parameters' gradients. The workspace is left as it was.
  double gradients(Context<Space> const& given, Batch const& batch, double weight) {
    Context<Space> const context = given.with(Set::Precision::products);
    check_inputs(batch);
    check_target(batch);
    auto& workspace = context.workspace();
    auto scope = workspace.scope();
    Index const forecasts = batch.forecasts(), rows = forecasts * grid().locations();
    Rows const pixels = workspace.template push<Scalar**>(rows, head_.out());
    auto const prediction = push_images(context, forecasts);
    auto const where = encoder_.own_locations(rows, forecasts);
    auto const image_rows = own_image_rows(batch, where);
    {
      auto const use = use_front_end(context, Pass::forward);
      front_end_.forward(context, batch.images.data(), nullptr, grid().locations(), batch.size(), batch.present,
                         image_rows);
    }
    Rows const x = workspace.template push<Scalar**>(rows, config_.embed);
    Rows const own = encoder_.own_rows(context, x, forecasts);
    embed(context, batch, image_rows, where.rows(), own);
    encoder_.forward(context, own, x, forecasts);
    head_.forward(context, x, pixels);
    detail::rows_to_images(context, out_grid(), forecasts, pixels.data, prediction.data(), false);
    double const loss =
        latitude_weighted_mse(context, prediction, batch.target, row_weights(), weight, prediction, batch.weight);
    detail::rows_to_images(context, out_grid(), forecasts, pixels.data, prediction.data(), true);

    head_.backward(context, x, pixels, x);
    encoder_.backward(context, x, own);
    auto const use = use_front_end(context, Pass::backward);
    detail::pull_position_and_lead(context, forecasts, where.rows(), grid().locations(), config_.embed,
                                   static_cast<Scalar const*>(own.data), batch.lead_time.data(), position_->gradients,
                                   lead_weight_->gradients, lead_bias_->gradients);
    pull_tokens(context, batch, image_rows, where.rows(), own);
    front_end_.backward(context, front_end_.out());
    return loss;
  }

  /// The loss of a batch, by a forward pass alone.
  double evaluate(Context<Space> const& context, Batch const& batch) {
    check_target(batch);
    auto scope = context.workspace().scope();
    auto const prediction = push_images(context, batch.forecasts());
    predict(context, batch, prediction);
    return latitude_weighted_mse(context, prediction, batch.target, row_weights(), batch.weight);
  }

  /// The forecasts [B * leads, out_channels, height, width].
  void predict(Context<Space> const& given, Batch const& batch, View<Scalar****, Space> const& prediction) {
    Context<Space> const context = given.with(Set::Precision::products);
    check_inputs(batch);
    detail::check_images("prediction", prediction, batch.forecasts(), config_.out_channels, config_.height,
                         config_.width);
    auto scope = context.workspace().scope();
    Index const forecasts = batch.forecasts(), rows = forecasts * grid().locations();
    Rows const x = context.workspace().template push<Scalar**>(rows, config_.embed);
    Rows const own = encoder_.own_rows(context, x, forecasts);
    {
      auto inner = context.workspace().scope();
      auto const where = encoder_.own_locations(rows, forecasts);
      auto const use = use_front_end(context, Pass::forward);
      auto const image_rows = own_image_rows(batch, where);
      front_end_.evaluate(context, batch.images.data(), nullptr, grid().locations(), batch.size(), batch.present,
                          image_rows);
      embed(context, batch, image_rows, where.rows(), own);
    }
    encoder_.evaluate(context, own, x, forecasts);
    Rows const pixels = context.workspace().template push<Scalar**>(rows, head_.out());
    head_.forward(context, x, pixels);
    detail::rows_to_images(context, out_grid(), forecasts, pixels.data, prediction.data(), false);
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
    if (!config.latitudes.empty() || !config.row_weights.empty()) config.weights_of_rows();
    return config;
  }
  static Parameters<Scalar, Space>& begin(Parameters<Scalar, Space>& parameters) {
    parameters.begin_unit("front_end");
    return parameters;
  }
  channels::PatchGrid out_grid() const { return {config_.out_channels, config_.height, config_.width, config_.patch}; }
  Rows push_rows(Context<Space> const& context, Index rows) const {
    return context.workspace().template push<Scalar**>(rows, config_.embed);
  }
  View<Scalar****, Space> push_images(Context<Space> const& context, Index images) const {
    return context.workspace().template push<Scalar****>(images, config_.out_channels, config_.height, config_.width);
  }

  UnitUse<Space> use_front_end(Context<Space> const& context, Pass pass) const {
    return parameters_.use(context, position_->unit, pass);
  }
  /// The sharing of what is added to the front end's rows.
  Placement of_rows() const { return front_end_.delivers_own_rows() ? Placement::summed() : Placement{}; }
  /// Which of the front end's rows [B L] this rank gets, where the forecasts' are shared so.
  SharedLocations own_image_rows(Batch const& batch, SharedLocations const& forecasts) const {
    if (batch.forecasts() == batch.size() || !front_end_.delivers_own_rows()) return forecasts;
    return {mesh_.model(), batch.size(), Shares::even(grid().locations(), mesh_.model().size())};
  }
  /// The encoder's own rows: tokens (those of an image for each of its forecasts), positions and lead times.
  void embed(Context<Space> const& context, Batch const& batch, SharedLocations const& image_rows, OwnRows const& rows,
             Rows own) const {
    auto const use = use_front_end(context, Pass::forward);
    detail::PositionAndLead<Scalar> const extra{position_->values,
                                                lead_weight_->values,
                                                lead_bias_->values,
                                                batch.lead_time.data(),
                                                grid().locations(),
                                                config_.embed,
                                                rows};
    Scalar const* const tokens = front_end_.out();
    Index const leads = batch.forecasts() / batch.size();
    if (leads == 1)
      return channels::rows_from_tiles(context, front_end_.tiling(), config_.embed, tokens, extra, own.data);
    auto scope = context.workspace().scope();
    Rows const own_once = push_rows(context, image_rows.own_rows());
    channels::rows_from_tiles(context, front_end_.tiling(), config_.embed, tokens, detail::NothingAdded<Scalar>(),
                              own_once.data);
    Rows once = own_once;
    if (front_end_.delivers_own_rows()) {
      once = push_rows(context, batch.size() * grid().locations());
      layers::gather_locations(context, image_rows, own_once, once);
    }
    detail::repeat_for_leads<Scalar>(context, leads, once, extra, own);
  }
  /// The gradient of the front end's tokens, where they were, from that of the forecasts' own rows.
  void pull_tokens(Context<Space> const& context, Batch const& batch, SharedLocations const& image_rows,
                   OwnRows const& rows, Rows own) const {
    auto const to_tiles = [&](Rows from) {
      channels::tiles_from_rows(context, front_end_.tiling(), config_.embed, static_cast<Scalar const*>(from.data),
                                front_end_.out());
    };
    Index const leads = batch.forecasts() / batch.size();
    if (leads == 1) return to_tiles(own);
    auto scope = context.workspace().scope();
    Rows const sum = push_rows(context, batch.size() * grid().locations());
    detail::sum_over_leads<Scalar>(context, leads, grid().locations(), rows, own, sum);
    if (!front_end_.delivers_own_rows()) return to_tiles(sum);
    Rows const own_sum = push_rows(context, image_rows.own_rows());
    layers::reduce_locations(context, image_rows, sum, own_sum);
    to_tiles(own_sum);
  }

  void check_inputs(Batch const& batch) const {
    detail::check_present(batch.present, batch.size(), config_.channels);
    detail::check_images("images", batch.images, batch.size(), front_end_.grid().channels, config_.height,
                         config_.width);
    check_lead_times(batch);
  }
  void check_lead_times(Batch const& batch) const {
    Index const images = batch.size(), forecasts = batch.forecasts();
    require(images == 0 || (forecasts > 0 && forecasts % images == 0), "batch: lead_time has ", forecasts,
            " values for ", images, " images: give one for each, or as many for each");
  }
  void check_target(Batch const& batch) const {
    check_lead_times(batch);
    detail::check_images("target", batch.target, batch.forecasts(), config_.out_channels, config_.height,
                         config_.width);
    if (batch.weight.size() == 0) return;
    auto const one_or = [](Index extent, std::size_t given) { return given == 1 ? 1 : extent; };
    detail::check_images("weight", batch.weight, one_or(batch.forecasts(), batch.weight.extent(0)),
                         one_or(config_.out_channels, batch.weight.extent(1)), config_.height, config_.width);
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
  Kokkos::View<Scalar*, typename Space::device_type> row_weights_;
};

}  // namespace dchag
